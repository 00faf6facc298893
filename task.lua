--- Telling the model what the changes of a repository are for.

local M = {}

---@param client vim.lsp.Client
---@param place table
---@param task? string
local function send(client, place, task)
  local params = vim.tbl_extend('force', place, { task = task or vim.NIL })
  client:request('diffidence/setTask', params, function(problem, answer)
    local show = require('diffidence.show')
    if problem then
      show.problem('Diffidence: ' .. problem.message)
      return
    end
    -- What was taken back may leave that of a file in force.
    local in_force = type(answer) == 'table' and type(answer.task) == 'string'
    show.info(in_force and 'Diffidence: scoring with the task.' or 'Diffidence: scoring without a task.')
  end)
end

--- Sets the task of the repository of the current file. Asks for it if `task` is empty; an empty
--- answer takes it back.
---@param task string
function M.set(task)
  local client_module = require('diffidence.client')
  local place = client_module.place(vim.api.nvim_get_current_buf())
  client_module.with(function(client)
    if task ~= '' then
      send(client, place, task)
      return
    end
    vim.ui.input({ prompt = 'What are the changes for? (empty: no task) ' }, function(given)
      if given then
        given = vim.trim(given)
        send(client, place, given ~= '' and given or nil)
      end
    end)
  end)
end

return M
