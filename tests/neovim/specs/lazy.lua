-- A plugin manager that loads late: files are open before the plugin is there.
local h = require('harness')

h.test('files that are open already are scored, and nothing is loaded before it is needed', function()
  local repo = h.repository({ ['math.py'] = 'one\ntwo\n', ['NOTES.unknown'] = 'one\ntwo\n' })
  local buffers = {}
  for _, name in ipairs({ 'math.py', 'NOTES.unknown' }) do
    h.write(repo .. '/' .. name, 'one\nbad\n')
    table.insert(buffers, h.open(repo .. '/' .. name))
  end
  h.equal({ vim.bo[buffers[1]].filetype, vim.bo[buffers[2]].filetype }, { 'python', '' })
  h.equal(vim.fn.exists(':Diffidence'), 0, 'the command before the plugin is loaded')

  vim.cmd.packadd('diffidence')
  h.equal(vim.fn.exists(':Diffidence'), 2)
  for name in pairs(package.loaded) do
    assert(not name:find('^diffidence'), name .. ' is loaded with the plugin')
  end
  vim.lsp.enable('diffidence')
  for _, buffer in ipairs(buffers) do
    h.sees_lens(buffer, '^1: %d+%% likely correct · 1 hunk to check$')
    h.sees_diagnostics(buffer, '^2%-2$')
  end
  h.equal(#vim.lsp.get_clients({ name = 'diffidence' }), 1, 'servers')
end)
