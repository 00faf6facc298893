--- Code lenses: asked for whenever the server says that they changed, and drawn.
---
--- Invariant: what is drawn belongs to the newest request of its buffer.
local M = {}

--- What the lens of a buffer says.
---@type table<integer, string>
local titles = {}

---@type table<integer, integer>
local newest = {}

---@param buffer integer
---@return string?
function M.title(buffer)
  return titles[buffer]
end

---@class diffidence.Drawn
---@field client_id integer
---@field lenses lsp.CodeLens[]

--- What was drawn last.
---@type table<integer, diffidence.Drawn>
local drawn = {}

---@type table<integer, boolean>
local followed = {}

--- Neovim 0.11 takes a lens away when its line is edited. It stays here until the server says another:
--- else it would be gone for as long as somebody types there.
---@param buffer integer
local function follow(buffer)
  if followed[buffer] then
    return
  end
  followed[buffer] = vim.api.nvim_buf_attach(buffer, false, {
    on_lines = function(_, _, _, first, last)
      local now = drawn[buffer]
      for _, lens in ipairs(now and now.lenses or {}) do
        local line = lens.range.start.line
        if first <= line and line < last then
          vim.lsp.codelens.display(now.lenses, buffer, now.client_id)
          return
        end
      end
    end,
    on_detach = function()
      drawn[buffer], followed[buffer] = nil, nil
    end,
  })
end

---@param lenses lsp.CodeLens[]
---@param buffer integer
---@param client_id integer
local function draw(lenses, buffer, client_id)
  -- From 0.12 on Neovim asks for lenses and draws them itself, where they are enabled.
  if vim.lsp.codelens.enable then
    return
  end
  vim.lsp.codelens.save(lenses, buffer, client_id)
  vim.lsp.codelens.display(lenses, buffer, client_id)
  -- After Neovim's own watch of the buffer, which the first save sets up.
  follow(buffer)
  drawn[buffer] = { client_id = client_id, lenses = lenses }
end

---@param buffer integer
function M.forget(buffer)
  titles[buffer] = nil
  newest[buffer] = nil
  drawn[buffer] = nil
end

--- Neovim's own `vim.lsp.codelens.refresh` of 0.11 drops a request while an older one is under way,
--- whose answer may be out of date.
---@param client_id integer
---@param buffer integer
function M.refresh(client_id, buffer)
  local client = vim.lsp.get_client_by_id(client_id)
  if not client or not vim.api.nvim_buf_is_loaded(buffer) then
    return
  end
  local turn = (newest[buffer] or 0) + 1
  newest[buffer] = turn
  local params = { textDocument = vim.lsp.util.make_text_document_params(buffer) }
  client:request('textDocument/codeLens', params, function(problem, lenses)
    if problem or newest[buffer] ~= turn or not vim.api.nvim_buf_is_loaded(buffer) then
      return
    end
    lenses = lenses or {}
    titles[buffer] = lenses[1] and lenses[1].command and lenses[1].command.title
    draw(lenses, buffer, client_id)
    require('diffidence.status').show(client_id, buffer)
  end, buffer)
end

--- All buffers of a server.
---@param client_id integer
function M.refresh_all(client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  for buffer in pairs(client and client.attached_buffers or {}) do
    M.refresh(client_id, buffer)
  end
end

--- `workspace/codeLens/refresh`.
---@type lsp.Handler
function M.on_refresh(problem, result, context)
  local native = vim.lsp.handlers['workspace/codeLens/refresh']
  if native then
    native(problem, result, context)
  end
  M.refresh_all(context.client_id)
  return vim.NIL
end

return M
