--- `:checkhealth diffidence`.

local M = {}

--- Milliseconds for loading and trying the model; the first time on a slow disk takes a while.
local DOCTOR_TIMEOUT = 60000

local health = vim.health

--- Whether the program is there and of a version that this plugin works with.
---@return boolean
local function program()
  local module = require('diffidence.program')
  health.start('Diffidence: program')
  local missing = module.missing()
  if missing then
    health.error(missing)
    return false
  end
  local path = vim.fn.exepath(module.path())
  local version, problem = module.version()
  if not version then
    health.error(('`%s --version` failed: %s'):format(path, problem))
    return false
  end
  local text = ('%s, version %s'):format(path, version)
  if module.is_supported(version) then
    health.ok(text)
    return true
  end
  health.error(
    ('%s: this plugin works with %s up to, and without, %s'):format(
      text,
      module.VERSIONS[1],
      module.VERSIONS[2]
    ),
    'Install the program and the plugin from the same release.'
  )
  return false
end

local function git()
  local ok, process = pcall(vim.system, { 'git', '--version' }, { text = true, timeout = 5000 })
  local done = ok and process:wait()
  if done and done.code == 0 then
    health.ok(vim.trim(done.stdout))
  else
    -- The program reads repositories by itself.
    health.warn('git is not found: `:Diffidence base` cannot complete revisions')
  end
end

--- Whether the model loads and scores, as `diffidence doctor` says.
local function model()
  health.start('Diffidence: model')
  local ran = require('diffidence.program').wait({ 'doctor', '--format', 'json' }, DOCTOR_TIMEOUT)
  local ok, report = pcall(vim.json.decode, ran.text or '')
  if not ok then
    health.error('`diffidence doctor` failed: ' .. (ran.problem or 'what it prints is not JSON'))
    return
  end
  local about = report.model
  if about.score_ms then
    health.ok(
      ('%s %s, loaded in %d ms, scores a small change in %d ms'):format(
        about.name,
        about.version,
        about.load_ms,
        about.score_ms
      )
    )
  end
  for _, problem in ipairs(report.problems) do
    -- It is about the current directory, which need not be a work tree.
    local is_of_model = not about.score_ms
    health[is_of_model and 'error' or 'warn'](problem)
  end
  for _, warning in ipairs(report.warnings) do
    health.warn(warning)
  end
  health.info('`:Diffidence doctor` says more')
end

local function editor()
  health.start('Diffidence: Neovim')
  if vim.fn.has('nvim-0.11') == 0 then
    health.error('Neovim 0.11 or newer is needed')
    return
  end
  health.ok('Neovim ' .. tostring(vim.version()))
  local module = require('diffidence.client')
  if module.has_given_up() then
    health.error('the server ended too often', '`:Diffidence restart` starts it again')
  end
  if not vim.lsp.is_enabled('diffidence') then
    health.warn("not enabled: put `vim.lsp.enable('diffidence')` into your configuration")
  end
  local clients = vim.lsp.get_clients({ name = 'diffidence' })
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_count(client.attached_buffers)
    health.ok(('the server runs for %d buffer%s'):format(buffers, buffers == 1 and '' or 's'))
  end
  if #clients == 0 then
    health.info('the server does not run; it starts when a file of a git work tree is opened')
  end
end

function M.check()
  editor()
  if program() then
    git()
    model()
  end
end

return M
