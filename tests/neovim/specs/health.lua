-- `:checkhealth diffidence` and the help file.
local h = require('harness')
local test, open, write, repository = h.test, h.open, h.write, h.repository

local function health()
  vim.cmd('silent checkhealth diffidence')
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  vim.cmd('bwipeout')
  return text
end

local function program(script)
  local path = vim.fn.tempname()
  write(path, '#!/bin/sh\n' .. script .. '\n')
  vim.uv.fs_chmod(path, tonumber('755', 8))
  return path
end

test('all is well', function()
  local repo = repository({ ['a.txt'] = 'one\n' })
  write(repo .. '/a.txt', 'bad\n')
  h.sees_diagnostics(open(repo .. '/a.txt'), '^1%-1$')
  h.eventually('server', '^idle$', function()
    return require('diffidence.status').of(h.client().id).state
  end)
  local text = health()
  for _, expected in ipairs({
    'OK Neovim 0',
    'OK the server is enabled',
    'OK git: /',
    'OK program: /.*/diffidence\n',
    'OK version 0%.1%.%d+, as this plugin needs',
    'OK model tiny.* loads in %d+ ms',
    'OK the server runs for 1 file, idle',
  }) do
    h.matches(text, expected)
  end
  assert(not text:find('ERROR'), text)
end)

test('a model that is not there', function()
  local model = vim.env.DIFFIDENCE_MODEL
  vim.env.DIFFIDENCE_MODEL = '/nowhere'
  local text = health()
  vim.env.DIFFIDENCE_MODEL = model
  h.matches(text, 'ERROR .*/nowhere')
end)

test('a program that is missing, too new, broken or hangs', function()
  local function with(cmd)
    vim.lsp.config('diffidence', { cmd = { cmd, 'lsp' } })
    return health()
  end
  h.matches(with('/nowhere/diffidence'), 'ERROR `/nowhere/diffidence` is not there')
  h.matches(with(program('echo diffidence 9.9.9')), 'ERROR version 9%.9%.9, but this plugin needs 0%.1%.x')
  h.matches(with(program('echo broken >&2; exit 3')), 'ERROR .*version`: broken')
  local begun = vim.uv.hrtime()
  h.matches(with(program('exec sleep 600')), 'ERROR .*it did not end in time')
  assert((vim.uv.hrtime() - begun) / 1e9 < 120, 'it waited for the program')
end)

test('a missing program is said once, and files still open', function()
  vim.lsp.config('diffidence', { cmd = { '/nowhere/diffidence', 'lsp' } })
  for _, client in ipairs(vim.lsp.get_clients()) do
    client:stop(true)
  end
  open(repository({ ['a.py'] = 'x\n' }) .. '/a.py')
  open(repository({ ['b.py'] = 'x\n' }) .. '/b.py')
  h.is_told('`/nowhere/diffidence` is not there; see :checkhealth diffidence')
end)

test('the help tags build, and each command is in the help', function()
  local doc = vim.fs.dirname(assert(vim.api.nvim_get_runtime_file('doc/diffidence.txt', false)[1]))
  vim.cmd.helptags(vim.fn.fnameescape(doc))
  for name in pairs(require('diffidence.command').SUBCOMMANDS) do
    vim.cmd.help('diffidence-' .. name)
    h.equal(vim.fn.expand('%:t'), 'diffidence.txt')
  end
  for _, tag in ipairs({ ':Diffidence', 'diffidence', 'diffidence.setup()', 'b:diffidence_status', 'diffidence-health' }) do
    vim.cmd.help(tag)
    h.equal(vim.fn.expand('%:t'), 'diffidence.txt')
  end
end)
