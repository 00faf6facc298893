--- The quickfix list of all hunks of a repository, open or not, which follows the scores.
---
--- Invariant: the server is asked to watch a repository only while its list is the current quickfix
--- list and stands in a window; nobody pays for a list that is not seen.

local M = {}

---@class diffidence.List
---@field id integer Of the quickfix list.
---@field client integer
---@field root string

---@type table<string, diffidence.List>
local lists = {}

---@param client vim.lsp.Client
---@param params table
---@param done fun(changes: diffidence.Changes)
local function ask(client, params, done)
  client:request('diffidence/changes', params, function(problem, changes)
    if problem then
      require('diffidence.show').problem('Diffidence: ' .. problem.message)
    else
      done(changes)
    end
  end)
end

--- The server leaves out what it could mean to leave out: nothing.
---@param list diffidence.List
---@return boolean
local function is_seen(list)
  return vim.fn.getqflist({ id = 0 }).id == list.id and vim.fn.getqflist({ winid = 0 }).winid ~= 0
end

---@param id integer
---@param changes diffidence.Changes
local function fill(id, changes)
  local entries = require('diffidence.entries')
  local index = vim.fn.getqflist({ id = id, idx = 0 }).idx
  vim.fn.setqflist({}, 'r', {
    id = id,
    items = entries.of(changes),
    title = entries.title(changes),
    context = { diffidence = changes.root },
    idx = index,
  })
end

--- Opens the list of the repository of the current file.
---@param more boolean Whether to go on with files that were put off.
function M.open(more)
  local module = require('diffidence.client')
  local place = module.place(vim.api.nvim_get_current_buf())
  local of_list = M.current()
  if of_list then
    place = { root = of_list.root }
  end
  module.with(function(client)
    local params = vim.tbl_extend('force', place, { watch = true, more = more })
    ask(client, params, function(changes)
      if #changes.files == 0 then
        require('diffidence.show').info(
          ('Diffidence: no changes against %s.'):format(changes.base)
        )
        ask(client, { root = changes.root, watch = false }, function() end)
        return
      end
      local list = lists[changes.root]
      if not (list and is_seen(list)) then
        vim.fn.setqflist({}, ' ', { nr = '$', title = 'Diffidence' })
        list = { id = vim.fn.getqflist({ id = 0 }).id, client = client.id, root = changes.root }
        lists[changes.root] = list
      end
      list.client = client.id
      fill(list.id, changes)
      vim.cmd('botright copen')
    end)
  end)
end

--- The server has another answer.
---@param client_id integer
---@param root string
function M.changed(client_id, root)
  local client = vim.lsp.get_client_by_id(client_id)
  local list = lists[root]
  if not client or not list then
    return
  end
  local watch = is_seen(list)
  if not watch then
    lists[root] = nil
  end
  ask(client, { root = root, watch = watch }, function(changes)
    if watch and is_seen(list) then
      fill(list.id, changes)
    end
  end)
end

--- The list that the current window shows.
---@return diffidence.List?
function M.current()
  if vim.bo.buftype ~= 'quickfix' then
    return nil
  end
  local context = vim.fn.getqflist({ context = 1 }).context
  return type(context) == 'table' and lists[context.diffidence] or nil
end

--- What the entry under the cursor is about, if the window shows a list of ours.
---@return diffidence.EntryData?
function M.entry()
  if not M.current() then
    return nil
  end
  local entry = vim.fn.getqflist()[vim.fn.line('.')]
  return entry and entry.user_data ~= '' and entry.user_data or nil
end

return M
