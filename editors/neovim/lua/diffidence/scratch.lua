--- Shows text in a window of its own, which `q` closes.

---@param name string
---@param lines string[]
---@param filetype? string
---@return integer buffer
return function(name, lines, filetype)
  local full = 'diffidence://' .. name
  local buffer = vim.fn.bufnr('^' .. vim.fn.fnameescape(full) .. '$')
  if buffer == -1 then
    buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buffer, full)
    vim.bo[buffer].bufhidden = 'wipe'
    vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buffer, desc = 'Close', nowait = true })
  end
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].filetype = filetype or ''
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
  return buffer
end
