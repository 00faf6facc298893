--- Messages to the user, all under one name.

---@param text string
---@param level? integer
return function(text, level)
  vim.notify('Diffidence: ' .. text, level or vim.log.levels.INFO, { title = 'Diffidence' })
end
