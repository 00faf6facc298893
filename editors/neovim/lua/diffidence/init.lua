--- What users call. Each function loads what it needs.
local M = {}

---@class diffidence.Options
---@field cmd? string[] Command of the language server; default `{ 'diffidence', 'lsp' }`.
---@field settings? table<string, any> Settings of the server, by the keys of the README.
---@field signs? boolean Whether low-scoring hunks have signs; default true.

--- Sets options and turns the server on. Without it, `vim.lsp.enable('diffidence')` is enough.
---@param options? diffidence.Options
function M.setup(options)
  options = options or {}
  vim.validate('cmd', options.cmd, 'table', true)
  vim.validate('settings', options.settings, 'table', true)
  vim.validate('signs', options.signs, 'boolean', true)
  if options.signs ~= nil then
    vim.g.diffidence_signs = options.signs
  end
  ---@type vim.lsp.Config
  local config = {}
  config.cmd = options.cmd
  if options.settings and next(options.settings) then
    config.settings = { diffidence = options.settings }
  end
  vim.lsp.config('diffidence', config)
  vim.lsp.enable('diffidence')
end

--- The score of the current file, or what the server is doing, in a few words; empty if there is
--- nothing to say. For `%{v:lua.require'diffidence'.statusline()}`.
---@return string
function M.statusline()
  return vim.b.diffidence_status or ''
end

--- Goes to the next low-scoring hunk of the file.
function M.next()
  require('diffidence.hunk').jump(1)
end

--- Goes to the previous low-scoring hunk of the file.
function M.prev()
  require('diffidence.hunk').jump(-1)
end

--- Puts all changed hunks of the repository into the quickfix list, the lowest first.
function M.list()
  require('diffidence.list').open()
end

--- Says what the changes of the repository are for; nil takes it back.
---@param task? string
function M.set_task(task)
  require('diffidence.task').set(task)
end

return M
