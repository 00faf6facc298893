--- What a configuration and other plugins may use. `vim.lsp.enable('diffidence')` is enough for
--- everything else.

local M = {}

--- Settings of the server, as in `diffidence.toml`; see `:help diffidence-settings`.
---@class diffidence.Settings
---@field base? string What changes are compared with: `head`, `index`, a revision, or `merge-base:` and one.
---@field backgroundSeconds? integer Seconds for scoring changed files that are not open, for lists.
---@field codeLens? boolean Whether files show a code lens on their first line.
---@field debounceMs? integer Milliseconds without typing after which a file is scored.
---@field diagnostics? boolean Whether hunks to check are shown as diagnostics.
---@field enable? boolean Whether anything is scored at all.
---@field idleUnloadSeconds? integer Seconds without work after which the model is unloaded; 0 keeps it.
---@field inlayHints? boolean Whether each scored hunk shows its score as an inlay hint.
---@field maxFileBytes? integer Larger files are skipped.
---@field minScore? number Hunks that score below this are to be checked.
---@field model? string Read at the start only: give `--model` in `cmd` instead.
---@field prior? number Share of correct changes to assume before looking at one.
---@field scoreOnChange? boolean Whether to score while typing.
---@field taskFile? string File that says what the change is for.
---@field threads? integer Read at the start only: give `--threads` in `cmd` instead.
---@field workspaceScore? boolean Whether to also score all changes of a repository as one.

---@class diffidence.Options
---@field cmd? string[] The command that starts the server, `{ 'diffidence', 'lsp' }` if not given.
---@field settings? diffidence.Settings
---@field signs? string|false The sign beside lines of hunks to check, of one or two cells; `false` for the signs of all diagnostics.

--- What is in force.
---@type { signs: string|false }
M.options = { signs = '?' }

--- Sets options and enables the server. Not needed if the defaults are fine.
---@param options? diffidence.Options
function M.setup(options)
  options = options or {}
  vim.validate('options', options, 'table')
  vim.validate('cmd', options.cmd, 'table', true)
  vim.validate('settings', options.settings, 'table', true)
  vim.validate('signs', options.signs, function(signs)
    return signs == nil or signs == false or type(signs) == 'string' and vim.fn.strwidth(signs) <= 2
  end, 'text of at most two cells, or false')
  if options.signs ~= nil then
    M.options.signs = options.signs
  end
  if options.cmd or options.settings then
    vim.lsp.config('diffidence', {
      cmd = options.cmd,
      settings = options.settings and { diffidence = options.settings },
    })
  end
  require('diffidence.command').create()
  vim.lsp.enable('diffidence')
end

--- Words for a status line: the score of the file, or what the server is doing.
---@param buffer? integer The current buffer if not given.
---@return string
function M.statusline(buffer)
  return require('diffidence.status').of(buffer or vim.api.nvim_get_current_buf())
end

return M
