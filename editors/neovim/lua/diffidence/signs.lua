--- Signs on the changed lines of low-scoring hunks, from the server's diagnostics.
---
--- Invariant: signs show what the diagnostics of the buffer say, and nothing else.
local M = {}

local NAMESPACE = vim.api.nvim_create_namespace('diffidence.signs')
local TEXT = '▎'
-- Over those of git plugins and of diagnostics.
local PRIORITY = 11

---@class diffidence.Sign
---@field line integer 0-based
---@field highlight string

--- The low-scoring hunks of a buffer from top to bottom.
---@param buffer integer
---@return vim.Diagnostic[]
function M.diagnostics(buffer)
  local own = vim.tbl_filter(function(diagnostic)
    return diagnostic.source == 'diffidence' and diagnostic.code == 'low-score'
  end, vim.diagnostic.get(buffer))
  table.sort(own, function(a, b)
    return a.lnum < b.lnum
  end)
  return own
end

--- All changed lines of the hunk: the diagnostic is on the first run of them, and relates to the rest.
---@param diagnostics vim.Diagnostic[]
---@return diffidence.Sign[]
function M.of(diagnostics)
  local signs = {}
  for _, diagnostic in ipairs(diagnostics) do
    local warns = diagnostic.severity == vim.diagnostic.severity.WARN
    local highlight = warns and 'DiffidenceVeryLow' or 'DiffidenceLow'
    local function add(first, last)
      for line = first, last do
        table.insert(signs, { line = line, highlight = highlight })
      end
    end
    add(diagnostic.lnum, diagnostic.end_lnum or diagnostic.lnum)
    for _, other in ipairs(vim.tbl_get(diagnostic, 'user_data', 'lsp', 'relatedInformation') or {}) do
      add(other.location.range.start.line, other.location.range['end'].line)
    end
  end
  return signs
end

---@param buffer integer
---@param diagnostics vim.Diagnostic[]
function M.draw(buffer, diagnostics)
  if not vim.api.nvim_buf_is_loaded(buffer) then
    return
  end
  vim.api.nvim_buf_clear_namespace(buffer, NAMESPACE, 0, -1)
  local count = vim.api.nvim_buf_line_count(buffer)
  for _, sign in ipairs(M.of(diagnostics)) do
    if sign.line < count then
      vim.api.nvim_buf_set_extmark(buffer, NAMESPACE, sign.line, 0, {
        sign_text = TEXT,
        sign_hl_group = sign.highlight,
        priority = PRIORITY,
      })
    end
  end
end

---@return boolean
local function wanted()
  return vim.g.diffidence_signs ~= false
end

---@type integer?
local watcher

---@param client_id integer
function M.attach(client_id)
  if not wanted() then
    return
  end
  -- These signs say it for each line; those of Neovim would say it again for the first.
  vim.diagnostic.config({ signs = false }, vim.lsp.diagnostic.get_namespace(client_id))
  if watcher then
    return
  end
  vim.api.nvim_set_hl(0, 'DiffidenceLow', { link = 'DiagnosticSignInfo', default = true })
  vim.api.nvim_set_hl(0, 'DiffidenceVeryLow', { link = 'DiagnosticSignWarn', default = true })
  watcher = vim.api.nvim_create_autocmd('DiagnosticChanged', {
    group = vim.api.nvim_create_augroup('diffidence.signs', {}),
    desc = 'Diffidence: signs on low-scoring hunks',
    callback = function(event)
      M.draw(event.buf, M.diagnostics(event.buf))
    end,
  })
end

return M
