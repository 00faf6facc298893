--- Signs beside all changed lines of the hunks to check.
---
--- Invariant: the signs of a buffer follow from its diagnostics alone. They stand in for the signs
--- that Neovim gives diagnostics, which mark one line of each.

local M = {}

local SOURCE = 'diffidence'

local HIGHLIGHTS = {
  [vim.diagnostic.severity.WARN] = 'DiffidenceSignVeryLow',
  [vim.diagnostic.severity.INFO] = 'DiffidenceSignLow',
}

---@return integer
local function namespace()
  return vim.api.nvim_create_namespace('diffidence.signs')
end

--- The lines, from 0, of the hunk that a diagnostic is about: its own, and those of the other places
--- where the hunk changes something.
---@param diagnostic vim.Diagnostic
---@return integer[]
function M.lines(diagnostic)
  local lines = {}
  for line = diagnostic.lnum, diagnostic.end_lnum or diagnostic.lnum do
    lines[#lines + 1] = line
  end
  local lsp = vim.tbl_get(diagnostic, 'user_data', 'lsp') or {}
  for _, other in ipairs(lsp.relatedInformation or {}) do
    local range = other.location.range
    for line = range.start.line, range['end'].line do
      lines[#lines + 1] = line
    end
  end
  return lines
end

--- The diagnostics of a buffer that are from here.
---@param buffer integer
---@return vim.Diagnostic[]
function M.diagnostics(buffer)
  return vim.tbl_filter(function(diagnostic)
    return diagnostic.source == SOURCE
  end, vim.diagnostic.get(buffer))
end

--- Draws the signs of a buffer anew.
---@param buffer integer
function M.draw(buffer)
  local text = require('diffidence').options.signs
  vim.api.nvim_buf_clear_namespace(buffer, namespace(), 0, -1)
  if not text then
    return
  end
  local last = vim.api.nvim_buf_line_count(buffer) - 1
  for _, diagnostic in ipairs(M.diagnostics(buffer)) do
    -- Ours mark more lines; both would fill two columns.
    if (vim.diagnostic.config(nil, diagnostic.namespace) or {}).signs ~= false then
      vim.diagnostic.config({ signs = false }, diagnostic.namespace)
    end
    for _, line in ipairs(M.lines(diagnostic)) do
      vim.api.nvim_buf_set_extmark(buffer, namespace(), math.min(line, last), 0, {
        sign_text = text,
        sign_hl_group = HIGHLIGHTS[diagnostic.severity] or 'DiffidenceSignLow',
        priority = 11,
      })
    end
  end
end

--- Links the highlight groups, unless the colour scheme or the user has them.
function M.highlight()
  vim.api.nvim_set_hl(0, 'DiffidenceSignLow', { link = 'DiagnosticSignInfo', default = true })
  vim.api.nvim_set_hl(0, 'DiffidenceSignVeryLow', { link = 'DiagnosticSignWarn', default = true })
end

return M
