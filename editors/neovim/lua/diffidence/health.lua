--- `:checkhealth diffidence`: whether a change could be scored here, and why not.
local client_of = require('diffidence.client')
local program = require('diffidence.program')

local M = {}

local VERSION_TIMEOUT_MS = 5000

---@param result vim.SystemCompleted
---@return string
local function problem_of(result)
  if result.code == 124 then
    return 'it did not end in time'
  end
  local text = vim.trim(result.stderr or '')
  return text ~= '' and text or ('it ended with %d'):format(result.code)
end

local function check_neovim()
  if vim.fn.has('nvim-0.11') == 1 then
    vim.health.ok('Neovim ' .. tostring(vim.version()))
  else
    vim.health.error('Neovim 0.11 or newer is needed, this is ' .. tostring(vim.version()))
  end
  if vim.lsp.is_enabled('diffidence') then
    vim.health.ok('the server is enabled')
  else
    vim.health.warn('the server is not enabled', "put vim.lsp.enable('diffidence') into your init.lua")
  end
end

local function check_git()
  local git = vim.fn.exepath('git')
  if git ~= '' then
    vim.health.ok('git: ' .. git)
  else
    vim.health.warn('git is not on PATH; the server does without, `:Diffidence base` completes less')
  end
end

---@return boolean
local function check_program()
  local path = program.path()
  if vim.fn.executable(path) == 0 then
    vim.health.error(('`%s` is not there'):format(path), {
      'install it: cargo install --locked --path path/to/diffidence',
      "or name it: require('diffidence').setup({ cmd = { '/path/to/diffidence', 'lsp' } })",
    })
    return false
  end
  vim.health.ok('program: ' .. vim.fn.exepath(path))
  local result = assert(program.run({ '--version' }, VERSION_TIMEOUT_MS))
  if result.code ~= 0 then
    vim.health.error(('`%s --version`: %s'):format(path, problem_of(result)))
    return false
  end
  local version = vim.trim(result.stdout):match('%S+$')
  if client_of.is_supported(version) then
    vim.health.ok(('version %s, as this plugin needs (%s)'):format(version, client_of.SUPPORTED))
  else
    vim.health.error(('version %s, but this plugin needs %s'):format(version or '?', client_of.SUPPORTED))
  end
  return true
end

--- The program looks for itself whether it could score.
local function check_model()
  local arguments = { 'doctor', '--format', 'json', '-C', client_of.root() or '.' }
  local result = assert(program.run(arguments))
  local ok, report = pcall(vim.json.decode, result.stdout or '')
  if not ok or type(report) ~= 'table' then
    vim.health.error('`diffidence doctor`: ' .. problem_of(result))
    return
  end
  local model = report.model or {}
  if model.load_ms then
    vim.health.ok(('model %s %s loads in %d ms'):format(model.name, model.version, model.load_ms))
  end
  for _, warning in ipairs(report.warnings or {}) do
    vim.health.warn(warning)
  end
  for _, problem in ipairs(report.problems or {}) do
    vim.health.error(problem, 'run :Diffidence doctor for all of it')
  end
end

local function check_server()
  local client = client_of.get()
  if not client then
    vim.health.info('the server does not run: it starts with the first file of a git repository')
    return
  end
  local status = require('diffidence.status').of(client.id)
  local state = status and status.state or 'idle'
  local message = status and status.message ~= '' and ': ' .. status.message or ''
  local report = state == 'degraded' and vim.health.warn or vim.health.ok
  local count = vim.tbl_count(client.attached_buffers)
  local files = count == 1 and '1 file' or count .. ' files'
  report(('the server runs for %s, %s%s'):format(files, state, message))
end

function M.check()
  vim.health.start('Diffidence: editor')
  check_neovim()
  check_git()
  vim.health.start('Diffidence: program')
  if check_program() then
    check_model()
  end
  vim.health.start('Diffidence: server')
  check_server()
end

return M
