-- Candidate patches: ranked, applied, refused.
local h = require('harness')
local test, open, write, git = h.test, h.open, h.write, h.git

local LINES = {}
for n = 1, 20 do
  LINES[n] = 'line ' .. n
end
local BASE = table.concat(LINES, '\n') .. '\n'

--- A repository with a branch, two patch files beside it, and an open file.
local function proposals()
  local repo = h.repository({ ['a.txt'] = BASE })
  local function change(line)
    write(repo .. '/a.txt', (BASE:gsub('line 10\n', line .. '\n')))
  end
  git(repo, 'checkout', '-q', '-b', 'agent/one')
  change('a bad idea of a branch')
  git(repo, 'commit', '-qam', 'one')
  git(repo, 'checkout', '-q', 'main')
  local folder = repo .. ' proposals'
  for name, line in pairs({ ['good one.patch'] = 'a fine idea', ['bad.patch'] = 'a bad idea' }) do
    change(line)
    write(folder .. '/' .. name, git(repo, 'diff') .. '\n')
    git(repo, 'checkout', '-q', '.')
  end
  local buffer = open(repo .. '/a.txt')
  h.eventually('server', 'true', function()
    return #vim.lsp.get_clients({ name = 'diffidence', bufnr = buffer }) > 0
  end)
  return repo, buffer, folder:gsub(' ', '\\ ')
end

local function shown(pattern)
  return h.eventually('comparison', pattern, function()
    return vim.fn.bufname() == 'diffidence://candidates'
        and table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
      or nil
  end)
end

test('patches, a branch and work trees are ranked, the best first', function()
  local repo, _, folder = proposals()
  vim.cmd(('Diffidence compare %s/bad.patch agent/one nowhere %s/good\\ one.patch %s'):format(folder, folder, repo))
  local text = shown('^1%. %S.*good one.patch  87%% likely correct · %d+%% agreement with the others\n')
  h.matches(text, '\n[23]%. agent/one  12%% likely correct')
  h.matches(text, '\nfirst against second: score 87%% against 12%%')
  h.matches(text, '\nnot ranked: nowhere: unknown base "nowhere"')
  h.matches(text, '\nnot ranked: /.*: it changes nothing since %x+')
  h.is_told('comparing 5 candidates…')
end)

test('a candidate is applied to the buffer, beside what is not saved, or refused', function()
  local repo, buffer, folder = proposals()
  vim.api.nvim_buf_set_lines(buffer, 0, 1, false, { 'mine' })
  vim.cmd(('Diffidence apply %s/good\\ one.patch'):format(folder))
  h.is_told('made the changes of .*good one.patch in 1 file; nothing is saved yet')
  local expected = BASE:gsub('line 10\n', 'a fine idea\n'):gsub('line 1\n', 'mine\n')
  h.equal(table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), '\n') .. '\n', expected)
  h.equal(vim.bo[buffer].modified, true)
  vim.cmd('Diffidence apply agent/one')
  h.is_told('agent/one cannot be applied: a.txt: hunk 1 does not fit')
  -- What was ranked has become another.
  vim.cmd('Diffidence compare agent/one')
  shown('^1%. agent/one  12%% likely correct$')
  vim.cmd('normal q')
  vim.api.nvim_set_current_buf(buffer)
  local tree = repo .. ' tree'
  git(repo, 'worktree', 'add', '-q', tree, 'agent/one')
  write(tree .. '/a.txt', 'another\n')
  git(tree, 'commit', '-qam', 'two')
  vim.cmd('Diffidence apply agent/one')
  h.is_told('agent/one has changed since it was compared')
end)

test('candidates are completed', function()
  local repo, _, folder = proposals()
  local tree = repo .. '-tree'
  git(repo, 'worktree', 'add', '-q', '--detach', tree)
  local function complete(line)
    return vim.fn.getcompletion('Diffidence ' .. line, 'cmdline')
  end
  h.equal(complete('compare ag'), { 'agent/one' })
  assert(vim.tbl_contains(complete('compare x '), tree), vim.inspect(complete('compare x ')))
  h.equal(complete('apply agent/one '), {})
  h.matches(complete('compare ' .. folder .. '/b')[1], 'bad%.patch$')
  vim.cmd('Diffidence compare')
  h.is_told('use `:Diffidence compare {patch file, branch or folder of a work tree} …`')
end)
