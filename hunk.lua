--- What can be said and done about the hunk under the cursor: in its file, or in the list.
---
--- Invariant: which hunk that is, and what can be done about it, the server says. In a file these are
--- its code actions, in the list the commands behind them.

local M = {}

---@param text string
local function problem(text)
  require('diffidence.show').problem('Diffidence: ' .. text)
end

--- Runs the code action at the cursor for which `is_wanted` holds.
---@param is_wanted fun(action: lsp.CodeAction): boolean
---@param what string What is not possible if there is none.
local function act(is_wanted, what)
  local buffer = vim.api.nvim_get_current_buf()
  local client = require('diffidence.client').find_attached(buffer)
  if not client then
    problem(require('diffidence.status').sentence(buffer) .. '.')
    return
  end
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {}, triggerKind = 1 }
  client:request('textDocument/codeAction', params, function(failure, actions)
    if failure then
      problem(failure.message)
      return
    end
    for _, action in ipairs(actions or {}) do
      if is_wanted(action) then
        if action.edit then
          vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
        end
        if action.command then
          local command = action.command --[[@as lsp.Command]]
          require('diffidence.client').execute(client, command.command, command.arguments)
        end
        return
      end
    end
    problem(
      #(actions or {}) == 0 and 'there is no changed line under the cursor.' or what
    )
  end, buffer)
end

---@param name string
---@param label? string
---@param whole_file? boolean
---@return fun(action: lsp.CodeAction): boolean
local function runs(name, label, whole_file)
  return function(action)
    local command = action.command --[[@as lsp.Command?]]
    if not command or command.command ~= name then
      return false
    end
    local arguments = command.arguments or {}
    return not label or (arguments[2] == label and (arguments[3] == nil) == (whole_file or false))
  end
end

--- Runs a command about the entry under the cursor. False if the window shows no list of ours.
---@param name string
---@param arguments fun(entry: diffidence.EntryData): any[]
---@param needs_hunk boolean
---@return boolean
local function of_entry(name, arguments, needs_hunk)
  local entry = require('diffidence.list').entry()
  if not entry then
    return false
  end
  local client = require('diffidence.client').find()
  if not client or needs_hunk and not entry.hunk then
    problem(client and 'this entry is not a hunk.' or 'the server does not run.')
    return true
  end
  require('diffidence.client').execute(client, name, arguments(entry))
  return true
end

---@param name string
---@param what string
local function about_hunk(name, what)
  local in_list = of_entry(name, function(entry)
    return { entry.uri, entry.hunk }
  end, true)
  if not in_list then
    act(runs(name), what)
  end
end

function M.ignore()
  about_hunk('diffidence.ignoreHunk', 'this hunk is ignored already.')
end

function M.unignore()
  about_hunk('diffidence.stopIgnoringHunk', 'this hunk is not ignored.')
end

--- Keeps the user's word about the hunk, or all changes of the file.
---@param label? string
---@param whole_file boolean
function M.mark(label, whole_file)
  if label ~= 'correct' and label ~= 'wrong' then
    problem('say `:Diffidence mark correct` or `:Diffidence mark wrong`.')
    return
  end
  local in_list = of_entry('diffidence.mark', function(entry)
    return { entry.uri, label, not whole_file and entry.hunk or nil }
  end, not whole_file)
  if not in_list then
    act(runs('diffidence.mark', label, whole_file), 'this file is not scored yet.')
  end
end

--- Puts the hunk back to the base, in the buffer.
function M.revert()
  if require('diffidence.list').entry() then
    problem('go to the hunk first: it is reverted in its file.')
    return
  end
  act(function(action)
    return action.edit ~= nil
  end, 'there is nothing to go back to in a new file.')
end

return M
