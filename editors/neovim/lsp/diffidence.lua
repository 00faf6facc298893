--- How Neovim runs the language server: what `vim.lsp.enable('diffidence')` takes.
---
--- Nothing is loaded here before it is needed. This file must not know commands or windows.

---@type vim.lsp.Config
return {
  cmd = { 'diffidence', 'lsp' },
  -- The server tells when lenses change; without this Neovim 0.11 would have to guess.
  capabilities = { workspace = { codeLens = { refreshSupport = true } } },
  root_dir = function(buffer, start)
    require('diffidence.client').find_root(buffer, start)
  end,
  -- The server finds the repository of each file itself, and a second one would load the model again.
  reuse_client = function(client, config)
    return client.name == config.name and not client:is_stopped()
  end,
  before_init = function(params, config)
    require('diffidence.settings').before_init(params, config)
  end,
  on_init = function(client, result)
    require('diffidence.client').started(client, result)
  end,
  on_exit = function(code, signal, client_id)
    require('diffidence.restart').on_exit(code, signal, client_id)
  end,
  handlers = {
    ['diffidence/status'] = function(_, status, context)
      require('diffidence.status').set(context.client_id, status)
    end,
    ['diffidence/changesChanged'] = function(_, changed)
      require('diffidence.list').renew(changed.root)
    end,
    ['window/showMessage'] = function(_, message)
      require('diffidence.client').told(message)
    end,
    ['workspace/codeLens/refresh'] = function(...)
      return require('diffidence.lens').on_refresh(...)
    end,
  },
  commands = {
    ['diffidence.showDiff'] = function(command, context)
      require('diffidence.hunk').show_diff(command, context)
    end,
  },
}
