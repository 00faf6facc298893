--- What the changes of a repository are for.
---
--- Invariant: what the user said outlives the server, not the editor.
local client_of = require('diffidence.client')

local M = {}

---@type table<string, string>
local tasks = {}

--- Tells a new server what the one before it knew.
---@param client vim.lsp.Client
function M.renew(client)
  for root, task in pairs(tasks) do
    client_of.request(client, 'diffidence/setTask', { root = root, task = task })
  end
end

---@return string?
function M.get()
  return tasks[client_of.root() or '']
end

---@param task? string Nothing but white space takes it back.
function M.set(task)
  local client = client_of.need()
  local root = client and client_of.root()
  if not client or not root then
    return
  end
  task = task and vim.trim(task) ~= '' and task or nil
  tasks[root] = task
  client_of.request(client, 'diffidence/setTask', { root = root, task = task or vim.NIL })
end

--- Lets the user type it.
function M.ask()
  vim.ui.input({ prompt = 'What the changes are for: ', default = M.get() }, function(task)
    if task then
      M.set(task)
    end
  end)
end

return M
