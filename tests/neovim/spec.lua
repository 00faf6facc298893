-- What a user of Neovim sees, with the few lines of configuration that the README gives.
-- Runs under `nvim -l`; ends with the number of checks, and with an error if one failed.

local server = assert(vim.env.DIFFIDENCE, 'DIFFIDENCE must name the binary')
local passed, failed = 0, 0

-- The README's configuration, but for the path of the binary and the threshold: with every hunk
-- below it, each change has its diagnostic whatever the model thinks of it.
vim.lsp.config('diffidence', {
  cmd = { server, 'lsp' },
  root_markers = { '.git' },
  init_options = { minScore = 1.0, debounceMs = 100 },
})
vim.lsp.enable('diffidence')
vim.api.nvim_create_autocmd({ 'LspAttach', 'DiagnosticChanged', 'CursorHold' }, {
  -- A moment later: while an older request is under way, Neovim drops a newer one.
  callback = function(event)
    vim.defer_fn(function() pcall(vim.lsp.codelens.refresh, { bufnr = event.buf }) end, 100)
  end,
})
vim.cmd('filetype on')

local function git(repo, ...)
  local result = vim
    .system({ 'git', '-C', repo, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ... })
    :wait()
  assert(result.code == 0, result.stderr)
end

local function write(path, text)
  vim.fn.mkdir(vim.fs.dirname(path), 'p')
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
end

local function repository(files)
  local repo = vim.fn.tempname()
  vim.fn.mkdir(repo, 'p')
  repo = assert(vim.uv.fs_realpath(repo))
  git(repo, 'init', '-q')
  for name, text in pairs(files) do
    write(repo .. '/' .. name, text)
  end
  git(repo, 'add', '-A')
  git(repo, 'commit', '-qm', 'base')
  return repo
end

local function lenses(buffer)
  local client = vim.lsp.get_clients({ bufnr = buffer, name = 'diffidence' })[1]
  if not client then
    return {}
  end
  local params = { textDocument = vim.lsp.util.make_text_document_params(buffer) }
  local answer = client:request_sync('textDocument/codeLens', params, 5000, buffer)
  return answer and answer.result or {}
end

local function lens_title(buffer)
  local found = lenses(buffer)
  assert(#found <= 1, 'more than one lens: ' .. vim.inspect(found))
  return found[1] and found[1].command and found[1].command.title or nil
end

-- Waits until `probe` returns what `pattern` matches (or nil for pattern nil).
local function eventually(what, pattern, probe)
  local last
  local ok = vim.wait(60000, function()
    last = probe()
    if pattern == nil then
      return last == nil
    end
    return last ~= nil and tostring(last):match(pattern) ~= nil
  end, 50)
  assert(ok, ('%s: waited for %s, last saw %s'):format(what, tostring(pattern), vim.inspect(last)))
end

-- The lens as it stands on the screen, which Neovim draws at the end of the first line.
local function drawn_lens(buffer)
  for name, namespace in pairs(vim.api.nvim_get_namespaces()) do
    if name:match('codelens') then
      for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(buffer, namespace, 0, -1, { details = true })) do
        local text = ''
        for _, chunk in ipairs(mark[4].virt_text or {}) do
          text = text .. chunk[1]
        end
        return ('%d: %s'):format(mark[2] + 1, text)
      end
    end
  end
end

local function diagnostic_lines(buffer)
  local lines = vim.tbl_map(function(diagnostic)
    assert(diagnostic.source == 'diffidence' and diagnostic.code == 'low-score', vim.inspect(diagnostic))
    return ('%d-%d'):format(diagnostic.lnum + 1, diagnostic.end_lnum + 1)
  end, vim.diagnostic.get(buffer))
  table.sort(lines)
  return table.concat(lines, ' ')
end

local function eventually_diagnostics(buffer, pattern)
  eventually('diagnostics', pattern, function()
    return diagnostic_lines(buffer)
  end)
end

local function eventually_lens(buffer, pattern)
  eventually('lens', pattern, function()
    return lens_title(buffer)
  end)
end

local function open(path)
  vim.cmd.edit(vim.fn.fnameescape(path))
  local buffer = vim.api.nvim_get_current_buf()
  if vim.bo[buffer].filetype == '' then
    vim.cmd('filetype detect')
  end
  return buffer
end

local function test(name, body)
  local ok, problem = xpcall(body, debug.traceback)
  if ok then
    passed = passed + 1
    print('ok   ' .. name .. '\n')
  else
    failed = failed + 1
    print('FAIL ' .. name .. '\n' .. problem .. '\n')
  end
  vim.cmd('silent! %bwipeout!')
end

local BASE = 'def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n'
local EDITED = BASE:gsub('a %+ b', 'a - b')

test('an edited file shows its score and the changed line, and both go when the edit goes', function()
  local repo = repository({ ['math.py'] = BASE })
  write(repo .. '/math.py', EDITED)
  local buffer = open(repo .. '/math.py')
  eventually_lens(buffer, '^%d+%% likely correct · 1 hunk to check')
  eventually_diagnostics(buffer, '^2%-2$')
  eventually('drawn lens', '^1: %d+%% likely correct', function()
    return drawn_lens(buffer)
  end)
  vim.api.nvim_buf_set_lines(buffer, 1, 2, false, { '    return a + b' })
  eventually_lens(buffer, nil)
  eventually_diagnostics(buffer, '^$')
  eventually('no drawn lens', nil, function()
    return drawn_lens(buffer)
  end)
end)

test('an unsaved edit is scored before it is on disk', function()
  local repo = repository({ ['math.py'] = BASE })
  local buffer = open(repo .. '/math.py')
  vim.api.nvim_buf_set_lines(buffer, 5, 6, false, { '    return b - a', '    # 😀 done' })
  eventually_lens(buffer, 'likely correct')
  eventually_diagnostics(buffer, '^6%-7$')
  assert(vim.bo[buffer].modified)
end)

test('a commit followed by a save clears the score', function()
  local repo = repository({ ['math.py'] = BASE })
  write(repo .. '/math.py', EDITED)
  local buffer = open(repo .. '/math.py')
  eventually_diagnostics(buffer, '^2%-2$')
  git(repo, 'commit', '-qam', 'edit')
  vim.cmd('silent write')
  eventually_diagnostics(buffer, '^$')
  eventually_lens(buffer, nil)
end)

test('a commit in a terminal clears the score without a save', function()
  local repo = repository({ ['math.py'] = BASE })
  write(repo .. '/math.py', EDITED)
  local buffer = open(repo .. '/math.py')
  eventually_diagnostics(buffer, '^2%-2$')
  git(repo, 'commit', '-qam', 'edit')
  local begun = vim.uv.hrtime()
  eventually_diagnostics(buffer, '^$')
  local ms = (vim.uv.hrtime() - begun) / 1e6
  assert(ms < 1000, ('it took %d ms'):format(ms))
  eventually_lens(buffer, nil)
  git(repo, 'reset', '-q', '--soft', 'HEAD~1')
  eventually_diagnostics(buffer, '^2%-2$')
end)

test('spaces, umlauts and CRLF', function()
  local name = 'ein Ordner/größe ändern.py'
  local repo = repository({ [name] = BASE:gsub('\n', '\r\n') })
  write(repo .. '/' .. name, (EDITED:gsub('\n', '\r\n')))
  local buffer = open(repo .. '/' .. name)
  assert(vim.bo[buffer].fileformat == 'dos')
  eventually_diagnostics(buffer, '^2%-2$')
end)

test('a file with nothing to warn of shows its score too', function()
  local repo = repository({ ['math.py'] = BASE })
  write(repo .. '/diffidence.toml', 'minScore = 0.0\n')
  write(repo .. '/math.py', EDITED)
  local buffer = open(repo .. '/math.py')
  eventually('drawn lens', '^1: %d+%% likely correct · nothing to check', function()
    return drawn_lens(buffer)
  end)
  assert(diagnostic_lines(buffer) == '')
end)

test('a skipped file says why', function()
  local repo = repository({ ['Cargo.lock'] = 'version = 3\n' })
  write(repo .. '/Cargo.lock', 'version = 4\n')
  local buffer = open(repo .. '/Cargo.lock')
  vim.bo[buffer].filetype = 'toml'
  eventually_lens(buffer, '^not scored: .*lock')
end)

test('the server ends with the editor', function()
  local client = assert(vim.lsp.get_clients({ name = 'diffidence' })[1], 'no client is left')
  client:stop()
  assert(vim.wait(5000, function()
    return client:is_stopped()
  end, 20))
end)

print(('%d passed, %d failed\n'):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
