--- When to start a server again that ended by itself. Pure.
local M = {}

--- So many ends within so long are too many.
M.LIMIT = 5
M.WINDOW_MS = 180000
M.FIRST_DELAY_MS = 500

---@param ends integer[] Times of the earlier ends, in milliseconds, the oldest first.
---@param now integer
---@return integer? delay Milliseconds to wait, or nil if it should be left alone.
---@return integer[] ends With this one, without those that no longer count.
function M.next(ends, now)
  local recent = vim.tbl_filter(function(time)
    return now - time < M.WINDOW_MS
  end, ends)
  table.insert(recent, now)
  if #recent >= M.LIMIT then
    return nil, recent
  end
  return M.FIRST_DELAY_MS * 2 ^ (#recent - 1), recent
end

return M
