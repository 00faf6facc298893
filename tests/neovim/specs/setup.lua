-- `setup()` and the switches, which `vim.lsp.enable` alone does not need.
local h = require('harness')
local test, open, write, repository = h.test, h.open, h.write, h.repository

local function edited()
  local repo = repository({ ['a.txt'] = 'one\ntwo\n' })
  write(repo .. '/a.txt', 'one\nfine\n')
  return open(repo .. '/a.txt')
end

test('options reach the server and the signs', function()
  require('diffidence').setup({
    cmd = { 'diffidence', 'lsp', '--threads', '1' },
    settings = { minScore = 0.99 },
    signs = false,
  })
  local buffer = edited()
  -- 87% is low now.
  h.sees_lens(buffer, '^1: 87%% likely correct · 1 hunk to check$')
  h.sees_diagnostics(buffer, '^2%-2$')
  h.equal(h.client().config.cmd, { 'diffidence', 'lsp', '--threads', '1' })
  -- Neovim's own, and none of the plugin's.
  h.sees_signs(buffer, '^2%a$')
end)

test('what is no option is refused', function()
  for _, options in ipairs({ { cmd = 'diffidence lsp' }, { settings = 1 }, { signs = 'no' } }) do
    local ok, problem = pcall(require('diffidence').setup, options)
    h.equal(ok, false, vim.inspect(options))
    h.matches(problem, next(options) .. ': expected')
  end
end)

test('setup without options turns the server on', function()
  vim.lsp.enable('diffidence', false)
  h.equal(vim.lsp.is_enabled('diffidence'), false)
  require('diffidence').setup()
  h.equal(vim.lsp.is_enabled('diffidence'), true)
  h.sees_lens(edited(), '^1: 87%% likely correct')
end)
