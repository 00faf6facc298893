--- What the server is doing, and how a buffer stands, in words for status lines.

local M = {}

---@class diffidence.Status
---@field state 'loading'|'scoring'|'idle'|'degraded'|'off'
---@field message string

---@type table<integer, diffidence.Status>
local by_client = {}

--- Draws status lines anew and tells those who listen to `User DiffidenceStatus`.
function M.redraw()
  vim.schedule(function()
    vim.api.nvim_exec_autocmds('User', { pattern = 'DiffidenceStatus', modeline = false })
    vim.cmd.redrawstatus({ bang = true })
  end)
end

--- The server says what it is doing.
---@param client_id integer
---@param status diffidence.Status
function M.set(client_id, status)
  by_client[client_id] = status
  M.redraw()
end

--- The server is gone.
---@param client_id integer
function M.forget(client_id)
  by_client[client_id] = nil
  M.redraw()
end

--- Words for a status line; empty if there is nothing to say.
---@param status? diffidence.Status What the server is doing; none if it does not serve the buffer.
---@param title? string What is known of the file.
---@param given_up boolean Whether the server ended too often.
---@return string
function M.words(status, title, given_up)
  if given_up then
    return 'diffidence: stopped'
  elseif not status then
    return title or ''
  elseif status.state == 'degraded' then
    return 'diffidence: ' .. status.message
  elseif status.state == 'off' then
    return 'diffidence: off'
  elseif status.state == 'loading' and (not title or title == 'scoring…') then
    return 'loading the model…'
  end
  return title or (status.state == 'scoring' and 'scoring…') or ''
end

--- Words for the status line of a buffer.
---@param buffer integer
---@return string
function M.of(buffer)
  local client = require('diffidence.client').find_attached(buffer)
  local given_up = require('diffidence.client').has_given_up()
  return M.words(client and by_client[client.id], vim.b[buffer].diffidence_status, given_up)
end

--- A sentence for a message.
---@param buffer integer
---@return string
function M.sentence(buffer)
  local words = M.of(buffer)
  if words ~= '' then
    return (words:gsub('^diffidence: ', ''))
  elseif require('diffidence.client').find_attached(buffer) then
    return 'nothing has changed here'
  end
  return 'this buffer is not looked at; `:checkhealth diffidence` may say why'
end

return M
