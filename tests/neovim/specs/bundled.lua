-- Once with the model that is shipped: whatever it thinks of the change, it says so.
local h = require('harness')

h.test('a change is scored by the bundled model', function()
  vim.lsp.config('diffidence', { settings = { diffidence = { minScore = 1.0 } } })
  local base = 'def add(a, b):\n    return a + b\n'
  local repo = h.repository({ ['math.py'] = base })
  h.write(repo .. '/math.py', (base:gsub('a %+ b', 'a - b')))
  local begun = vim.uv.hrtime()
  local buffer = h.open(repo .. '/math.py')
  h.sees_lens(buffer, '^1: %d+%% likely correct · 1 hunk to check$')
  h.out(('     scored %d ms after opening, the model included'):format((vim.uv.hrtime() - begun) / 1e6))
  h.sees_diagnostics(buffer, '^2%-2$')
  h.sees_signs(buffer, '^2▎$')
end)
