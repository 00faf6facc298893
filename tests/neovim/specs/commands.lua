-- `:Diffidence`, each subcommand as a user runs it.
local h = require('harness')
local test, open, write, repository = h.test, h.open, h.write, h.repository

local LINES = {}
for n = 1, 60 do
  LINES[n] = 'line ' .. n
end
local BASE = table.concat(LINES, '\n') .. '\n'
-- Three hunks: low, high, low.
local EDITED = BASE:gsub('line 10\n', 'bad 10\n'):gsub('line 30\n', 'good 30\n'):gsub('line 50\n', 'bad 50\n')

local function edited()
  local repo = repository({ ['a.txt'] = BASE })
  write(repo .. '/a.txt', EDITED)
  local buffer = open(repo .. '/a.txt')
  h.sees_diagnostics(buffer, '^10%-10 50%-50$')
  h.sees_lens(buffer, 'likely correct')
  return repo, buffer
end

local function run(command)
  vim.cmd('Diffidence ' .. command)
end

test('completion', function()
  local function complete(line)
    return table.concat(vim.fn.getcompletion(line, 'cmdline'), ' ')
  end
  h.equal(
    complete('Diffidence '),
    'apply base compare diff doctor ignore list log mark next prev rescore restart revert review task toggle unignore view'
  )
  h.equal(complete('Diffidence re'), 'rescore restart revert review')
  h.equal(complete('Diffidence mark '), 'correct wrong')
  h.equal(complete('Diffidence mark wrong '), 'file')
  h.equal(complete('Diffidence mark wrong file '), '')
  h.equal(complete('Diffidence next '), '')
  open(repository({ ['a.txt'] = BASE }) .. '/a.txt')
  h.equal(complete('Diffidence base '), 'head index main merge-base:main')
  h.equal(complete('Diffidence base mer'), 'merge-base:main')
  run('nonsense')
  h.is_told('no subcommand `nonsense`; there are apply, base, compare, diff')
end)

test('next and prev go around the low-scoring hunks', function()
  edited()
  local function line_after(command)
    run(command)
    return vim.api.nvim_win_get_cursor(0)[1]
  end
  h.equal({ line_after('next'), line_after('next'), line_after('next') }, { 10, 50, 10 })
  h.equal({ line_after('prev'), line_after('prev') }, { 50, 10 })
  open(repository({ ['b.txt'] = BASE }) .. '/b.txt')
  run('next')
  h.is_told('no low%-scoring hunk in this file')
end)

test('list has the hunks of all files, open or not, the lowest first, and renews itself', function()
  local repo = repository({ ['a.txt'] = BASE, ['sub/b.txt'] = BASE, ['gone.txt'] = 'x\n', ['Cargo.lock'] = '1\n' })
  write(repo .. '/a.txt', EDITED)
  write(repo .. '/sub/b.txt', (BASE:gsub('line 20\n', 'good 20\nbad 20\n')))
  write(repo .. '/Cargo.lock', '2\n')
  vim.fn.delete(repo .. '/gone.txt')
  local buffer = open(repo .. '/a.txt')
  h.sees_diagnostics(buffer, '^10%-10 50%-50$')
  local window = vim.api.nvim_get_current_win()
  run('list')
  local function listed()
    return table.concat(
      vim.tbl_map(function(item)
        local name = vim.api.nvim_buf_get_name(item.bufnr):sub(#repo + 2)
        return ('%s:%d%s'):format(name, item.lnum, item.type)
      end, vim.fn.getqflist()),
      ' '
    )
  end
  h.eventually('list', '^[^ ]+W [^ ]+W [^ ]+W a.txt:30 gone.txt:1 Cargo.lock:1$', listed)
  for _, low in ipairs({ 'a.txt:10W', 'a.txt:50W', 'sub/b.txt:20W' }) do
    h.matches(listed(), vim.pesc(low))
  end
  h.matches(vim.fn.getqflist({ title = 0 }).title, '^Diffidence: 5 hunks, 3 low, against HEAD %(%x+%) · 1 file skipped$')
  h.equal(vim.bo.buftype, 'quickfix', 'the list is shown')
  h.matches(vim.fn.getqflist()[1].text, '^ *%d+%%  %+%d %-%d  ')
  -- Marks a hunk of a file that is not open, from the list.
  local row
  for index, item in ipairs(vim.fn.getqflist()) do
    row = vim.api.nvim_buf_get_name(item.bufnr):find('b.txt', 1, true) and index or row
  end
  vim.api.nvim_win_set_cursor(0, { row, 0 })
  local list = vim.api.nvim_get_current_win()
  run('diff')
  h.eventually('diff of the entry', '%+good 20\n%+bad 20', function()
    return vim.bo.filetype == 'diff' and table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n') or nil
  end)
  vim.cmd('normal q')
  vim.api.nvim_set_current_win(list)
  run('ignore')
  h.eventually('ignored in the list', 'ignored', function()
    local texts = vim.tbl_map(function(item)
      return item.text
    end, vim.fn.getqflist())
    return table.concat(texts, '\n')
  end)
  vim.api.nvim_set_current_win(window)
  vim.api.nvim_buf_set_lines(buffer, 9, 10, false, { 'line 10' })
  h.eventually('title', '4 hunks, 1 low', function()
    return vim.fn.getqflist({ title = 0 }).title
  end)
  h.equal(#vim.fn.getqflist(), 5)
end)

test('a list of something else is left alone', function()
  local repo, buffer = edited()
  run('list')
  h.eventually('list', '3 hunks', function()
    return vim.fn.getqflist({ title = 0 }).title
  end)
  vim.fn.setqflist({}, ' ', { title = 'mine', items = { { filename = repo .. '/a.txt', lnum = 1, text = 'x' } } })
  vim.api.nvim_buf_set_lines(buffer, 9, 10, false, { 'line 10' })
  h.sees_diagnostics(buffer, '^50%-50$')
  h.eventually('the older list', '2 hunks', function()
    return vim.fn.getqflist({ nr = 1, title = 0 }).title
  end)
  h.equal(vim.fn.getqflist({ title = 0 }).title, 'mine')
end)

test('nothing changed is said', function()
  open(repository({ ['a.txt'] = BASE }) .. '/a.txt')
  h.eventually('server', 'true', function()
    return #vim.lsp.get_clients({ name = 'diffidence', bufnr = 0 }) > 0
  end)
  run('list')
  h.is_told('nothing changed against HEAD')
end)

test('task is told to the model, kept, and taken back', function()
  local _, buffer = edited()
  run('task Count to sixty')
  h.sees_lens(buffer, 'with task')
  h.equal(require('diffidence.task').get(), 'Count to sixty')
  local input = vim.ui.input
  vim.ui.input = function(options, done)
    h.equal(options.default, 'Count to sixty')
    done('')
  end
  run('task')
  vim.ui.input = input
  h.sees_lens(buffer, 'check$')
  h.equal(require('diffidence.task').get(), nil)
end)

test('base is another revision', function()
  local repo, buffer = edited()
  h.git(repo, 'commit', '-qam', 'edit')
  h.sees_diagnostics(buffer, '^$')
  run('base HEAD~1')
  h.sees_lens(buffer, 'against HEAD~1')
  h.sees_diagnostics(buffer, '^10%-10 50%-50$')
  run('base')
  h.is_told('the base is HEAD~1')
  run('base head')
  h.sees_lens(buffer, nil)
end)

test('toggle turns all off and on', function()
  local _, buffer = edited()
  run('toggle')
  h.sees_lens(buffer, nil)
  h.sees_diagnostics(buffer, '^$')
  h.sees_status(buffer, '^off$')
  run('toggle')
  h.sees_diagnostics(buffer, '^10%-10 50%-50$')
  h.sees_lens(buffer, 'likely correct')
end)

test('mark is stored, for the hunk and for the file', function()
  local repo = edited()
  vim.api.nvim_win_set_cursor(0, { 10, 0 })
  run('mark wrong')
  h.is_told('Marked the hunk as wrong')
  h.matches(h.program('review', 'list'), 'wrong')
  run('mark correct file')
  h.is_told('Marked the file as correct')
  h.matches(h.program('review', 'list'), 'correct')
  run('mark maybe')
  h.is_told('use `:Diffidence mark correct|wrong %[file%]`')
  run('review')
  h.eventually('review', 'wrong', function()
    return vim.fn.bufname() == 'diffidence://review' and table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n') or nil
  end)
end)

test('ignore hides a hunk, unignore shows it again', function()
  local _, buffer = edited()
  vim.api.nvim_win_set_cursor(0, { 50, 0 })
  run('ignore')
  h.sees_diagnostics(buffer, '^10%-10$')
  h.sees_signs(buffer, '^10▎$')
  h.sees_lens(buffer, '1 ignored')
  run('unignore')
  h.sees_diagnostics(buffer, '^10%-10 50%-50$')
  vim.api.nvim_win_set_cursor(0, { 20, 0 })
  run('ignore')
  h.is_told('the cursor must be on a scored change')
end)

test('revert brings the lines of the base back', function()
  local _, buffer = edited()
  vim.api.nvim_win_set_cursor(0, { 10, 0 })
  run('revert')
  h.sees_diagnostics(buffer, '^50%-50$')
  h.equal(vim.api.nvim_buf_get_lines(buffer, 9, 10, false), { 'line 10' })
end)

test('diff shows what is compared, by command and as a code action', function()
  local _, buffer = edited()
  local function shown()
    return vim.bo.filetype == 'diff' and table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n') or nil
  end
  run('diff')
  h.eventually('diff', '%-line 10\n%+bad 10', shown)
  vim.cmd('normal q')
  vim.api.nvim_set_current_buf(buffer)
  vim.api.nvim_win_set_cursor(0, { 10, 0 })
  vim.lsp.buf.code_action({
    apply = true,
    filter = function(action)
      return action.title == 'Show diff against base'
    end,
  })
  h.eventually('diff', '%-line 10\n%+bad 10', shown)
end)

test('rescore computes the score again', function()
  local _, buffer = edited()
  run('rescore')
  h.sees_lens(buffer, 'likely correct')
end)

test('doctor and log open', function()
  edited()
  run('doctor')
  h.eventually('doctor', 'tiny', function()
    return vim.fn.bufname() == 'diffidence://doctor' and table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n') or nil
  end)
  run('log')
  h.matches(vim.api.nvim_buf_get_name(0), 'lsp.log$')
end)
