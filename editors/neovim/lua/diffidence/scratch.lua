--- Text that is shown and cannot be changed, in buffers that end with their window.
local M = {}

--- A buffer `diffidence://{name}` with these lines, in which `q` runs `close`.
---@param name string
---@param lines string[]
---@param filetype? string
---@param close string
---@return integer buffer
function M.buffer(name, lines, filetype, close)
  local full = 'diffidence://' .. name
  local buffer = vim.fn.bufnr('^' .. vim.fn.fnameescape(full) .. '$')
  if buffer == -1 then
    buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buffer, full)
    vim.bo[buffer].bufhidden = 'wipe'
    vim.keymap.set('n', 'q', close, { buffer = buffer, desc = 'Close', nowait = true })
  end
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].filetype = filetype or ''
  return buffer
end

--- Shows lines in a window of their own.
---@param name string
---@param lines string[]
---@param filetype? string
function M.show(name, lines, filetype)
  local buffer = M.buffer(name, lines, filetype, '<Cmd>close<CR>')
  local window = vim.fn.bufwinid(buffer)
  if window ~= -1 then
    vim.api.nvim_set_current_win(window)
  else
    vim.cmd('botright sbuffer ' .. buffer)
    -- Long lines wrap.
    local wanted = vim.api.nvim_win_text_height(0, {}).all
    local height = math.max(3, math.min(wanted, math.floor(vim.o.lines / 2)))
    vim.api.nvim_win_set_height(0, height)
  end
end

return M
