--- `:Diffidence`: one table of subcommands for running and completion.
local client_of = require('diffidence.client')
local say = require('diffidence.say')

local M = {}

---@class diffidence.Subcommand
---@field run fun(rest: string, words: string[])
---@field complete? fun(words: string[], lead: string): string[]

--- Revisions that a base may be.
---@return string[]
local function bases()
  local found = { 'head', 'index' }
  local root = client_of.root()
  local git = { 'git', '-C', root or '.', 'for-each-ref', '--format=%(refname:short)', 'refs/heads', 'refs/remotes', 'refs/tags' }
  local ok, running = pcall(vim.system, git, { text = true, timeout = 1000 })
  local listed = ok and running:wait() or { code = 1 }
  for name in vim.gsplit(listed.code == 0 and listed.stdout or '', '\n', { trimempty = true }) do
    vim.list_extend(found, { name, 'merge-base:' .. name })
  end
  return found
end

---@param base string
local function set_base(base)
  local client = client_of.need()
  if not client then
    return
  end
  local settings = require('diffidence.settings')
  if base == '' then
    say('the base is ' .. (settings.get(client, 'base') or 'head'))
  else
    settings.set(client, 'base', base)
  end
end

local function toggle()
  local client = client_of.need()
  if client then
    local settings = require('diffidence.settings')
    local enable = settings.get(client, 'enable') == false
    settings.set(client, 'enable', enable)
    say(enable and 'on' or 'off')
  end
end

---@param _ string
---@param words string[]
local function mark(_, words)
  local label, what = words[1], words[2]
  if (label ~= 'correct' and label ~= 'wrong') or (what and what ~= 'file') then
    say('use `:Diffidence mark correct|wrong [file]`', vim.log.levels.WARN)
    return
  end
  require('diffidence.hunk').mark(label, what == 'file')
end

---@param module string
---@param name string
---@param ... any
local function call(module, name, ...)
  local arguments = { ... }
  return function()
    require('diffidence.' .. module)[name](unpack(arguments))
  end
end

---@param _ string[]
---@param lead string
---@return string[]
local function complete_candidates(_, lead)
  return require('diffidence.candidates').complete(lead)
end

---@type table<string, diffidence.Subcommand>
M.SUBCOMMANDS = {
  apply = {
    run = function(_, words)
      require('diffidence.candidates').apply(words)
    end,
    complete = function(words, lead)
      return #words == 0 and complete_candidates(words, lead) or {}
    end,
  },
  base = { run = set_base, complete = function(words)
    return #words == 0 and bases() or {}
  end },
  compare = {
    run = function(_, words)
      require('diffidence.candidates').compare(words)
    end,
    complete = complete_candidates,
  },
  diff = { run = call('hunk', 'diff') },
  doctor = {
    run = function()
      say('looking…')
      require('diffidence.program').show('doctor', { 'doctor', '-C', client_of.root() or '.' })
    end,
  },
  ignore = { run = call('hunk', 'ignore') },
  list = { run = call('list', 'open') },
  log = {
    run = function()
      vim.cmd.split(vim.fn.fnameescape(vim.lsp.log.get_filename()))
      vim.cmd('normal! G')
    end,
  },
  mark = {
    run = mark,
    complete = function(words)
      return ({ [0] = { 'correct', 'wrong' }, { 'file' } })[#words] or {}
    end,
  },
  next = { run = call('hunk', 'jump', 1) },
  prev = { run = call('hunk', 'jump', -1) },
  rescore = { run = call('hunk', 'rescore') },
  restart = { run = call('restart', 'restart') },
  revert = { run = call('hunk', 'revert') },
  review = {
    run = function()
      require('diffidence.program').show('review', { 'review', 'list' })
    end,
  },
  task = {
    run = function(rest)
      local task = require('diffidence.task')
      if rest == '' then
        task.ask()
      else
        task.set(rest)
      end
    end,
  },
  toggle = { run = toggle },
  unignore = { run = call('hunk', 'unignore') },
  view = {
    run = function(_, words)
      require('diffidence.candidates').view(words)
    end,
    complete = function(words)
      return #words < 2 and require('diffidence.candidates').complete_compared() or {}
    end,
  },
}

--- Runs `:Diffidence`; without a subcommand it lists.
---@param given vim.api.keyset.create_user_command.command_args
function M.run(given)
  local name, rest = given.args:match('^(%S*)%s*(.-)%s*$')
  local subcommand = M.SUBCOMMANDS[name == '' and 'list' or name]
  if not subcommand then
    local names = table.concat(vim.fn.sort(vim.tbl_keys(M.SUBCOMMANDS)), ', ')
    say(('no subcommand `%s`; there are %s'):format(name, names), vim.log.levels.ERROR)
    return
  end
  -- Where a space belongs to a word, the user puts a backslash before it.
  subcommand.run(rest, vim.list_slice(given.fargs, 2))
end

---@param lead string
---@param line string
---@param position integer
---@return string[]
function M.complete(lead, line, position)
  local before = line:sub(1, position - #lead)
  local words = vim.split(before, '%s+', { trimempty = true })
  table.remove(words, 1)
  local name = table.remove(words, 1)
  local candidates
  if not name then
    candidates = vim.tbl_keys(M.SUBCOMMANDS)
  else
    local complete = (M.SUBCOMMANDS[name] or {}).complete
    candidates = complete and complete(words, lead) or {}
  end
  table.sort(candidates)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, candidates)
end

return M
