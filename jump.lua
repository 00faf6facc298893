--- Going from one hunk to check to the next.

local M = {}

--- Goes to the `count`th hunk to check after the cursor, before it if negative, around the end of
--- the file.
---@param count integer
function M.by(count)
  local found = require('diffidence.signs').diagnostics(vim.api.nvim_get_current_buf())
  if #found == 0 then
    require('diffidence.show').info('Diffidence: no hunk to check in this file.')
    return
  end
  -- `:5Diffidence next` is about a count, and a count has no end in a file with two hunks.
  local steps = (math.abs(count) - 1) % #found + 1
  vim.diagnostic.jump({
    count = count < 0 and -steps or steps,
    namespace = found[1].namespace,
    wrap = true,
  })
end

return M
