--- What is done about a buffer when it is opened, changes, or has other diagnostics.

local M = {}

local OWN_NAME = 'diffidence'

---@param id integer
---@return vim.lsp.Client?
local function own_client(id)
  local client = vim.lsp.get_client_by_id(id)
  return client and client.name == OWN_NAME and client or nil
end

--- Sets up the autocommands; more than once does no harm.
function M.create()
  local lens = require('diffidence.lens')
  local signs = require('diffidence.signs')
  local group = vim.api.nvim_create_augroup('diffidence', {})
  local on = function(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, callback = callback })
  end
  signs.highlight()
  on('ColorScheme', signs.highlight)
  on('LspAttach', function(event)
    local client = own_client(event.data.client_id)
    if client then
      if vim.lsp.codelens.enable then
        vim.lsp.codelens.enable(true, { bufnr = event.buf })
      end
      lens.refresh(client, event.buf)
    end
  end)
  on('LspDetach', function(event)
    if own_client(event.data.client_id) then
      lens.forget(event.buf)
      vim.schedule(function()
        if vim.api.nvim_buf_is_loaded(event.buf) then
          signs.draw(event.buf)
        end
      end)
    end
  end)
  -- Neovim takes a lens away when its line is edited; the server does not know of that.
  on('LspNotify', function(event)
    local client = own_client(event.data.client_id)
    if client and event.data.method == 'textDocument/didChange' then
      local buffer = vim.uri_to_bufnr(event.data.params.textDocument.uri)
      if vim.lsp.buf_is_attached(buffer, client.id) then
        lens.refresh(client, buffer)
      end
    end
  end)
  on('DiagnosticChanged', function(event)
    if vim.api.nvim_buf_is_loaded(event.buf) then
      signs.draw(event.buf)
    end
  end)
end

return M
