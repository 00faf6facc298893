--- Runs the program for commands that need no server.
local M = {}

--- Enough for a cold start of the model on a slow machine.
M.TIMEOUT_MS = 60000

--- The program that the server is part of.
---@return string
function M.path()
  return require('diffidence.client').cmd()[1]
end

---@param arguments string[]
---@param timeout? integer
---@param done? fun(result: vim.SystemCompleted)
---@return vim.SystemCompleted?
function M.run(arguments, timeout, done)
  local command = vim.list_extend({ M.path() }, arguments)
  local options = { text = true, timeout = timeout or M.TIMEOUT_MS }
  local ok, running = pcall(vim.system, command, options, done and vim.schedule_wrap(done))
  if not ok then
    local result = { code = 127, signal = 0, stdout = '', stderr = tostring(running) }
    if done then
      done(result)
      return
    end
    return result
  end
  return done and nil or running:wait()
end

--- Runs it in the user's repository and shows what it prints.
---@param name string
---@param arguments string[]
function M.show(name, arguments)
  M.run(arguments, nil, function(result)
    local text = vim.trim(result.stdout .. '\n' .. result.stderr)
    if result.code == 124 then
      text = text .. ('\nstopped after %d s'):format(M.TIMEOUT_MS / 1000)
    end
    require('diffidence.scratch').show(name, vim.split(text, '\n'))
  end)
end

return M
