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

--- The two sides of the tab page: the name and the text of each, where they differ.
local function sides(pattern)
  local function side(window)
    local buffer = vim.api.nvim_win_get_buf(window)
    assert(vim.wo[window].diff and not vim.bo[buffer].modifiable)
    local name = vim.api.nvim_buf_get_name(buffer):gsub('^diffidence://', '')
    return name .. ': ' .. (vim.api.nvim_buf_get_lines(buffer, 9, 10, false)[1] or '')
  end
  return h.eventually('two sides', pattern, function()
    local windows = vim.api.nvim_tabpage_list_wins(0)
    return #windows == 2 and vim.wo[windows[1]].diff and vim.wo[windows[2]].diff
        and side(windows[1]) .. ' | ' .. side(windows[2])
      or nil
  end)
end

test('a candidate is shown beside its base, and beside another', function()
  local _, buffer, folder = proposals()
  vim.cmd('Diffidence view agent/one')
  h.is_told('agent/one is not among the candidates that were compared: begin with `:Diffidence compare`')
  local both = folder:gsub('\\ ', ' ') .. '/both.patch'
  local b = '--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+bad new file\n'
  local file = assert(io.open((folder:gsub('\\ ', ' ')) .. '/bad.patch'))
  write(both, file:read('a') .. b)
  file:close()
  vim.cmd(('Diffidence compare %s/good\\ one.patch agent/one %s'):format(folder, both:gsub(' ', '\\ ')))
  shown('likely correct')
  -- From the window of the comparison, too.
  vim.cmd(('Diffidence view %s/good\\ one.patch'):format(folder))
  sides('^%x+/a.txt: line 10 | good one.patch/a.txt: a fine idea$')
  h.equal(vim.api.nvim_win_get_cursor(0)[1], 10)
  vim.cmd('normal q')
  h.equal(#vim.api.nvim_list_tabpages(), 1)
  vim.api.nvim_set_current_buf(buffer)
  vim.cmd(('Diffidence view agent/one %s/good\\ one.patch'):format(folder))
  sides('^good one.patch/a.txt: a fine idea | agent/one/a.txt: a bad idea of a branch$')
  vim.cmd('tabclose')
  -- Of several files one is chosen; what the other leaves alone is shown beside the base.
  local offered
  local select = vim.ui.select
  vim.ui.select = function(files, options, choose)
    offered = table.concat(vim.tbl_map(options.format_item, files), '\n')
    for _, one in ipairs(files) do
      if one.path == 'b.txt' then
        choose(one)
      end
    end
  end
  vim.cmd(('Diffidence view %s agent/one'):format(both:gsub(' ', '\\ ')))
  vim.ui.select = select
  h.matches(offered, 'a.txt · 12%% · %+1 −1')
  h.matches(offered, 'b.txt · %d+%% · %+1 −0 · added')
  h.is_told('agent/one does not change b.txt: shown beside the base')
  h.eventually('the new file', '^bad new file$', function()
    local windows = vim.api.nvim_tabpage_list_wins(0)
    return #windows == 2 and vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(windows[2]), 0, 1, false)[1] or nil
  end)
  vim.cmd('normal q')
  vim.cmd('Diffidence view')
  h.is_told('use `:Diffidence view {candidate} %[{other candidate}%]`')
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
  vim.cmd('Diffidence compare agent/one')
  shown('likely correct')
  h.equal(complete('view '), { 'agent/one' })
  vim.cmd('Diffidence compare')
  h.is_told('use `:Diffidence compare {patch file, branch or folder of a work tree} …`')
end)
