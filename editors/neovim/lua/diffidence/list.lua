--- All changed hunks of a repository in the quickfix list, kept up to date while it is shown.
---
--- Invariant: only a list that this module made is ever replaced.
local changes_of = require('diffidence.changes')
local client_of = require('diffidence.client')

local M = {}

--- Identifiers of quickfix lists by the top of the work tree.
---@type table<string, integer>
local lists = {}

---@param id? integer
---@return boolean
local function is_shown(id)
  local shown = vim.fn.getqflist({ id = 0, winid = 0 })
  return id ~= nil and shown.id == id and shown.winid ~= 0
end

---@param entries vim.quickfix.entry[]
---@param target? diffidence.Target
---@return integer
local function index_of(entries, target)
  for index, entry in ipairs(entries) do
    local other = entry.user_data
    if type(target) == 'table' and other and other.id == target.id and other.uri == target.uri then
      return index
    end
  end
  return 1
end

--- Replaces the list, with the same entry as the current one.
---@param id integer
---@param what table
local function replace(id, what)
  local old = vim.fn.getqflist({ id = id, idx = 0, items = 1 })
  local current = old.items and old.items[old.idx]
  what.id = id
  what.idx = index_of(what.items, current and current.user_data)
  vim.fn.setqflist({}, 'r', what)
end

---@param changes diffidence.Changes
local function show(changes)
  local id = lists[changes.root]
  local what = { items = changes_of.entries(changes), title = changes_of.title(changes) }
  if id and vim.fn.getqflist({ id = id }).id == id then
    replace(id, what)
  else
    vim.fn.setqflist({}, ' ', what)
    lists[changes.root] = vim.fn.getqflist({ id = 0 }).id
  end
end

---@param root string
---@param watch boolean
---@param done? fun(changes: diffidence.Changes)
local function ask(root, watch, more, done)
  local client = client_of.get()
  if client then
    local params = { root = root, watch = watch, more = more }
    client_of.request(client, 'diffidence/changes', params, function(changes)
      show(changes)
      if done then
        done(changes)
      end
    end)
  end
end

--- Shows the list of the user's repository, and goes on with what was put off.
function M.open()
  local root = client_of.need() and client_of.root()
  if not root then
    return
  end
  ask(root, true, true, function(changes)
    if #changes.files == 0 then
      require('diffidence.say')(('nothing changed against %s'):format(changes.base))
      return
    end
    local id = lists[changes.root]
    local number = vim.fn.getqflist({ id = id, nr = 0 }).nr
    vim.cmd(('silent %dchistory'):format(number))
    vim.cmd('botright copen')
  end)
end

--- `diffidence/changesChanged`. Once nobody looks, the server need not score for a list any more.
---@param root string
function M.renew(root)
  local id = lists[root]
  if id then
    ask(root, is_shown(id), false)
  end
end

--- The hunk under the cursor, if the current window shows such a list.
---@return diffidence.Target?
function M.at_cursor()
  local window = vim.fn.getwininfo(vim.api.nvim_get_current_win())[1]
  if not window or window.quickfix ~= 1 or window.loclist == 1 then
    return nil
  end
  local item = vim.fn.getqflist()[vim.fn.line('.')]
  local target = item and item.user_data
  return type(target) == 'table' and target.id and target or nil
end

return M
