-- Runs one spec in this editor: repositories, waiting, and what a user sees on the screen.
local M = {}

local WAIT_MS = 60000
local passed, failed = 0, 0

--- Everything that the user was told.
M.told = {}

local function out(text)
  io.stdout:write(text .. '\n')
  io.stdout:flush()
end
M.out = out

function M.git(repo, ...)
  local command = { 'git', '-C', repo, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ... }
  local result = vim.system(command, { text = true }):wait()
  assert(result.code == 0, result.stderr)
  return vim.trim(result.stdout)
end

function M.write(path, text)
  vim.fn.mkdir(vim.fs.dirname(path), 'p')
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
end

--- A git repository with one commit of these files.
function M.repository(files)
  local repo = vim.fn.tempname()
  vim.fn.mkdir(repo, 'p')
  repo = assert(vim.uv.fs_realpath(repo))
  M.git(repo, 'init', '-q', '-b', 'main')
  for name, text in pairs(files) do
    M.write(repo .. '/' .. name, text)
  end
  M.git(repo, 'add', '-A')
  M.git(repo, 'commit', '-qm', 'base')
  return repo
end

function M.open(path)
  vim.cmd.edit(vim.fn.fnameescape(path))
  return vim.api.nvim_get_current_buf()
end

function M.equal(actual, expected, what)
  if not vim.deep_equal(actual, expected) then
    error(('%s: expected %s, got %s'):format(what or 'values', vim.inspect(expected), vim.inspect(actual)), 2)
  end
end

function M.matches(actual, pattern, what)
  if not tostring(actual):find(pattern) then
    error(('%s: expected a match of %q, got %s'):format(what or 'text', pattern, vim.inspect(actual)), 2)
  end
end

--- Waits until what `probe` returns matches the pattern, or is nil for the pattern nil.
function M.eventually(what, pattern, probe)
  local last
  local ok = vim.wait(WAIT_MS, function()
    last = probe()
    if pattern == nil then
      return last == nil
    end
    return last ~= nil and tostring(last):find(pattern) ~= nil
  end, 10)
  if not ok then
    error(('%s: waited for %s, last saw %s'):format(what, tostring(pattern), vim.inspect(last)), 2)
  end
  return last
end

function M.client()
  return vim.lsp.get_clients({ name = 'diffidence' })[1]
end

--- The lens as it stands on the screen, with its line.
function M.lens(buffer)
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

--- The diagnostics' lines: `2-2 5-6`.
function M.diagnostics(buffer)
  local lines = vim.tbl_map(function(diagnostic)
    assert(diagnostic.source == 'diffidence' and diagnostic.code == 'low-score', vim.inspect(diagnostic))
    return ('%d-%d'):format(diagnostic.lnum + 1, diagnostic.end_lnum + 1)
  end, vim.diagnostic.get(buffer))
  table.sort(lines)
  return table.concat(lines, ' ')
end

--- The lines with a sign of any plugin: `2▎ 3▎`.
function M.signs(buffer)
  local signs = {}
  for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(buffer, -1, 0, -1, { details = true, type = 'sign' })) do
    table.insert(signs, ('%d%s'):format(mark[2] + 1, vim.trim(mark[4].sign_text)))
  end
  return table.concat(signs, ' ')
end

function M.sees_lens(buffer, pattern)
  return M.eventually('lens', pattern, function()
    return M.lens(buffer)
  end)
end

function M.sees_diagnostics(buffer, pattern)
  M.eventually('diagnostics', pattern, function()
    return M.diagnostics(buffer)
  end)
end

function M.sees_signs(buffer, pattern)
  M.eventually('signs', pattern, function()
    return M.signs(buffer)
  end)
end

function M.sees_status(buffer, pattern)
  M.eventually('status', pattern, function()
    return vim.b[buffer].diffidence_status
  end)
end

--- Waits until the user is told what matches, after `count` messages that are already there.
function M.is_told(pattern, count)
  return M.eventually('message', pattern, function()
    return table.concat(vim.list_slice(M.told, (count or 0) + 1), '\n')
  end)
end

--- Runs the program beside the editor.
function M.program(...)
  local result = vim.system({ 'diffidence', ... }, { text = true }):wait()
  return result.stdout .. result.stderr
end

local function clean()
  vim.cmd('silent! cclose')
  vim.fn.setqflist({}, 'f')
  vim.cmd('silent! %bwipeout!')
  M.told = {}
end

function M.test(name, body)
  local ok, problem = xpcall(body, debug.traceback)
  passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
  out(ok and ('ok   ' .. name) or ('FAIL %s\n%s\ntold: %s'):format(name, problem, vim.inspect(M.told)))
  clean()
end

function M.run(spec)
  vim.notify = function(text)
    table.insert(M.told, text)
  end
  local ok, problem = xpcall(dofile, debug.traceback, spec)
  if not ok then
    failed = failed + 1
    out('FAIL ' .. problem)
  end
  local name = vim.fs.basename(spec)
  out(('%s: %d passed, %d failed'):format(name, passed, failed))
  -- An empty spec has tested nothing.
  vim.cmd(failed == 0 and passed > 0 and 'qall!' or 'cquit 1')
end

return M
