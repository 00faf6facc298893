--- Keeps the code lens of each buffer current, and the words of its title for status lines.
---
--- Invariant: at most one request per buffer is under way; what comes meanwhile leads to exactly one
--- more. So the last word is always that of the newest state.

local M = {}

---@class diffidence.LensRequest
---@field client integer
---@field again boolean Whether something came meanwhile.

---@type table<integer, diffidence.LensRequest>
local under_way = {}

---@param buffer integer
---@param title? string
local function say(buffer, title)
  if vim.b[buffer].diffidence_status ~= title then
    vim.b[buffer].diffidence_status = title
    require('diffidence.status').redraw()
  end
end

--- Asks for the lens of a buffer and shows it.
---@param client vim.lsp.Client
---@param buffer integer
function M.refresh(client, buffer)
  if under_way[buffer] and under_way[buffer].client == client.id then
    under_way[buffer].again = true
    return
  end
  local request = { client = client.id, again = false }
  under_way[buffer] = request
  local params = { textDocument = { uri = vim.uri_from_bufnr(buffer) } }
  local sent = client:request('textDocument/codeLens', params, function(problem, lenses, context)
    if under_way[buffer] ~= request then
      return
    end
    under_way[buffer] = nil
    if vim.api.nvim_buf_is_loaded(buffer) then
      -- Newer versions of Neovim ask for lenses and draw them without being told.
      if not vim.lsp.codelens.enable then
        vim.lsp.codelens.on_codelens(problem, lenses, context)
      end
      local lens = lenses and lenses[1]
      say(buffer, lens and lens.command and lens.command.title)
      if request.again then
        M.refresh(client, buffer)
      end
    end
  end, buffer)
  if not sent then
    under_way[buffer] = nil
  end
end

--- The same for all buffers of a client.
---@param client_id integer
function M.refresh_all(client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  for buffer in pairs(client and client.attached_buffers or {}) do
    M.refresh(client, buffer)
  end
end

--- The server of the buffer is gone.
---@param buffer integer
function M.forget(buffer)
  under_way[buffer] = nil
  if vim.api.nvim_buf_is_valid(buffer) then
    say(buffer, nil)
  end
end

return M
