--- What can be done about the hunk under the cursor, in a file or in the list.
local client_of = require('diffidence.client')
local say = require('diffidence.say')

local M = {}

local IGNORE, STOP_IGNORING = 'diffidence.ignoreHunk', 'diffidence.stopIgnoringHunk'
local MARK, SHOW_DIFF, RESCORE = 'diffidence.mark', 'diffidence.showDiff', 'diffidence.rescore'

--- Finds the code action at the cursor that `matches`, and passes it on.
---@param matches fun(action: lsp.CodeAction): boolean
---@param done fun(client: vim.lsp.Client, action: lsp.CodeAction)
local function with_action(matches, done)
  local client = client_of.need()
  if not client then
    return
  end
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {} }
  client_of.request(client, 'textDocument/codeAction', params, function(actions)
    for _, action in ipairs(actions or {}) do
      if matches(action) then
        return done(client, action)
      end
    end
    say('there is nothing to do so here: the cursor must be on a scored change', vim.log.levels.WARN)
  end)
end

---@param name string
---@param first? string What the command's second argument must be.
---@param count? integer How many arguments there must be.
local function is_command(name, first, count)
  ---@param action lsp.CodeAction
  return function(action)
    local command = action.command
    local arguments = command and command.arguments or {}
    return command ~= nil
      and command.command == name
      and (first == nil or arguments[2] == first)
      and (count == nil or #arguments == count)
  end
end

--- Runs a command about the hunk of the list's entry, or of the file's code actions.
---@param name string
---@param label? string
---@param whole_file? boolean
local function act(name, label, whole_file)
  local target = require('diffidence.list').at_cursor()
  local client = target and client_of.need()
  if target and client then
    local arguments = { target.uri }
    table.insert(arguments, label)
    table.insert(arguments, not whole_file and target.id or nil)
    client_of.execute(client, name, arguments)
    return
  end
  local count = 2 + (label and not whole_file and 1 or 0)
  with_action(is_command(name, label, count), function(owner, action)
    client_of.execute(owner, name, action.command.arguments)
  end)
end

function M.ignore()
  act(IGNORE)
end

function M.unignore()
  act(STOP_IGNORING)
end

---@param label 'correct'|'wrong'
---@param whole_file boolean
function M.mark(label, whole_file)
  act(MARK, label, whole_file)
end

--- Puts the base's lines back.
function M.revert()
  with_action(function(action)
    return action.edit ~= nil
  end, function(client, action)
    vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
  end)
end

--- Shows the diff of the current file, or of the list's entry, against its base.
function M.diff()
  local client = client_of.need()
  if client then
    local target = require('diffidence.list').at_cursor()
    local arguments = { target and target.uri or vim.uri_from_bufnr(0) }
    M.show_diff({ command = SHOW_DIFF, arguments = arguments }, { client_id = client.id })
  end
end

--- `diffidence.showDiff` where it is chosen as a code action.
---@param command lsp.Command
---@param context { client_id: integer }
function M.show_diff(command, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  if not client then
    return
  end
  client_of.execute(client, SHOW_DIFF, command.arguments, function(result)
    local lines = vim.split(vim.trim(result.diff), '\n')
    require('diffidence.scratch').show('diff', lines, 'diff')
  end)
end

--- Scores the current file again, whatever is remembered.
function M.rescore()
  local client = client_of.need()
  if client then
    client_of.execute(client, RESCORE, { vim.uri_from_bufnr(0) })
  end
end

--- Goes to the next (1) or previous (-1) low-scoring hunk, around the ends of the file.
---@param direction 1|-1
function M.jump(direction)
  local found = require('diffidence.signs').diagnostics(0)
  if #found == 0 then
    say('no low-scoring hunk in this file; `:Diffidence list` shows all')
    return
  end
  local line = vim.api.nvim_win_get_cursor(0)[1] - 1
  local target
  if direction > 0 then
    target = vim.iter(found):find(function(diagnostic)
      return diagnostic.lnum > line
    end) or found[1]
  else
    target = vim.iter(found):rev():find(function(diagnostic)
      return diagnostic.lnum < line
    end) or found[#found]
  end
  vim.diagnostic.jump({ diagnostic = target, float = true })
end

return M
