--- What is there from the start: the command and the autocommands, which load the rest when used.

if vim.g.loaded_diffidence then
  return
end
vim.g.loaded_diffidence = true

if vim.fn.has('nvim-0.11') == 0 then
  vim.notify_once('Diffidence needs Neovim 0.11 or newer', vim.log.levels.WARN)
  return
end

vim.api.nvim_create_user_command('Diffidence', function(call)
  require('diffidence.command').run(call)
end, {
  desc = 'Scores of code changes',
  nargs = '*',
  complete = function(...)
    return require('diffidence.command').complete(...)
  end,
})

local group = vim.api.nvim_create_augroup('diffidence', {})

---@param event vim.api.keyset.create_autocmd.callback_args
---@return boolean
local function is_ours(event)
  local client = vim.lsp.get_client_by_id(event.data.client_id)
  return client ~= nil and client.name == 'diffidence'
end

vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  desc = 'Diffidence: show the score of a file',
  callback = function(event)
    if is_ours(event) then
      require('diffidence.client').attached(event.data.client_id, event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd('LspDetach', {
  group = group,
  desc = 'Diffidence: take the score of a file away',
  callback = function(event)
    if is_ours(event) then
      require('diffidence.client').detached(event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd({ 'BufReadPost', 'BufWritePost' }, {
  group = group,
  desc = 'Diffidence: files of unknown type change too, and a missing program is said',
  callback = function(event)
    if not vim.lsp.is_enabled('diffidence') then
      return
    end
    local client = require('diffidence.client')
    if vim.bo[event.buf].filetype == '' then
      client.attach_untyped(event.buf)
    else
      -- Where the program is missing Neovim starts nothing and says nothing; this does.
      client.find_root(event.buf, function() end)
    end
  end,
})

-- Loaded late, as some plugin managers do, when files of unknown type are open already.
if vim.v.vim_did_enter == 1 then
  vim.schedule(function()
    for _, buffer in ipairs(vim.lsp.is_enabled('diffidence') and vim.api.nvim_list_bufs() or {}) do
      if vim.api.nvim_buf_is_loaded(buffer) and vim.bo[buffer].filetype == '' then
        require('diffidence.client').attach_untyped(buffer)
      end
    end
  end)
end
