--- What the server is doing, and the status of each buffer: `b:diffidence_status`.
local M = {}

---@class diffidence.Status
---@field state 'loading'|'scoring'|'idle'|'degraded'|'off'|'stopped'
---@field message string

---@type table<integer, diffidence.Status>
local states = {}

--- What a status line says. The lens has the words for the score.
---@param status? diffidence.Status
---@param title? string What the lens says.
---@return string
function M.text(status, title)
  local state = status and status.state or 'idle'
  if state == 'degraded' then
    return 'cannot score' .. (status.message ~= '' and ': ' .. status.message or '')
  elseif state == 'off' or state == 'stopped' then
    return state
  elseif state == 'loading' and (not title or title == 'scoring…') then
    return 'loading the model'
  end
  return title or ''
end

---@param buffer integer
---@param text? string
local function write(buffer, text)
  if vim.api.nvim_buf_is_valid(buffer) and vim.b[buffer].diffidence_status ~= text then
    vim.b[buffer].diffidence_status = text
    vim.api.nvim_exec_autocmds('User', { pattern = 'DiffidenceStatus', modeline = false, data = { buf = buffer } })
    vim.cmd.redrawstatus({ bang = true })
  end
end

---@param client_id integer
---@param buffer integer
function M.show(client_id, buffer)
  write(buffer, M.text(states[client_id], require('diffidence.lens').title(buffer)))
end

---@param buffer integer
function M.clear(buffer)
  write(buffer, nil)
end

--- The server is no longer there for these buffers and will not come back by itself.
---@param buffers integer[]
function M.stopped(buffers)
  for _, buffer in ipairs(buffers) do
    write(buffer, M.text({ state = 'stopped', message = '' }))
  end
end

--- What the server said last.
---@param client_id integer
---@return diffidence.Status?
function M.of(client_id)
  return states[client_id]
end

--- `diffidence/status`.
---@param client_id integer
---@param status diffidence.Status
function M.set(client_id, status)
  states[client_id] = status
  local client = vim.lsp.get_client_by_id(client_id)
  for buffer in pairs(client and client.attached_buffers or {}) do
    M.show(client_id, buffer)
  end
  -- A drawn lens moves with its line, though it says the same afterwards.
  if status.state == 'idle' then
    require('diffidence.lens').refresh_all(client_id)
  end
end

return M
