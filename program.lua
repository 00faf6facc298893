--- The program `diffidence`: where it is, which version, and what its other subcommands print.
---
--- Invariant: nothing here waits, except `version` and what `:checkhealth` calls, with a time-out.

local M = {}

--- The versions of the program that this plugin works with: from the first, below the second.
M.VERSIONS = { '0.1.0', '0.2.0' }

--- Milliseconds after which a program that prints its version hangs.
local VERSION_TIMEOUT = 5000

--- The command that starts the server.
---@return string[]
function M.server()
  local config = vim.lsp.config['diffidence']
  local cmd = config and config.cmd
  return type(cmd) == 'table' and cmd or { 'diffidence', 'lsp' }
end

--- The program itself.
---@return string
function M.path()
  return M.server()[1]
end

--- What to tell the user if the program cannot be run.
---@return string?
function M.missing()
  local config = vim.lsp.config['diffidence']
  if config and type(config.cmd) == 'function' or vim.fn.executable(M.path()) == 1 then
    return nil
  end
  return ('Diffidence: the program `%s` is not found. '):format(M.path())
    .. 'Install it (`:help diffidence-install`), or say where it is (`:help diffidence-cmd`).'
end

--- The arguments of a run that reads the same model as the server.
---@param arguments string[]
---@return string[]
function M.command(arguments)
  local command = vim.list_extend({ M.path() }, arguments)
  local server = M.server()
  if arguments[1] == 'doctor' then
    for index, argument in ipairs(server) do
      if argument == '--model' then
        vim.list_extend(command, { '--model', server[index + 1] })
      elseif vim.startswith(argument, '--model=') then
        command[#command + 1] = argument
      end
    end
  end
  return command
end

--- The environment of the server, such as another model.
---@return table<string, string>?
function M.environment()
  local config = vim.lsp.config['diffidence']
  return config and config.cmd_env --[[@as table<string, string>?]]
end

---@class diffidence.Ran
---@field text? string What it printed.
---@field problem? string Why it could not be run, or did not end well.

--- Runs the program and waits for it.
---@param arguments string[]
---@param timeout integer Milliseconds.
---@return diffidence.Ran
function M.wait(arguments, timeout)
  local options = { text = true, timeout = timeout, env = M.environment() }
  local ok, process = pcall(vim.system, M.command(arguments), options)
  if not ok then
    return { problem = tostring(process) }
  end
  local done = process:wait()
  if done.code == 124 and done.signal ~= 0 then
    return { problem = ('it did not end within %d s'):format(timeout / 1000) }
  end
  local text = vim.trim(done.stdout or '')
  local stderr = vim.trim(done.stderr or '')
  if done.code ~= 0 then
    return { text = text, problem = stderr ~= '' and stderr or 'exit code ' .. done.code }
  end
  return { text = text }
end

--- The version of the program, or why it is not known.
---@return vim.Version?, string?
function M.version()
  local ran = M.wait({ '--version' }, VERSION_TIMEOUT)
  local version = ran.text and vim.version.parse(ran.text:match('%d+%.%d+%.%d+%S*') or '')
  if ran.problem or not version then
    return nil, ran.problem or ('it printed `%s`'):format(ran.text)
  end
  return version
end

--- Whether this plugin works with that version.
---@param version vim.Version
---@return boolean
function M.is_supported(version)
  return vim.version.ge(version, M.VERSIONS[1]) and vim.version.lt(version, M.VERSIONS[2])
end

--- Runs the program in the folder of the current file and shows what it prints.
---@param arguments string[]
function M.show(arguments)
  local show = require('diffidence.show')
  local missing = M.missing()
  if missing then
    show.problem(missing)
    return
  end
  local name = vim.api.nvim_buf_get_name(0)
  local directory = vim.fs.dirname(name)
  local is_there = require('diffidence.client').is_file_name(name) and vim.fn.isdirectory(directory) == 1
  vim.system(
    M.command(arguments),
    { text = true, cwd = is_there and directory or nil, env = M.environment() },
    vim.schedule_wrap(function(done)
      local text = vim.trim((done.stdout or '') .. '\n' .. (done.stderr or ''))
      show.text(table.concat(arguments, ' '), text == '' and 'nothing' or text, '')
    end)
  )
end

return M
