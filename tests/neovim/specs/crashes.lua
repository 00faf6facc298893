-- A server that ends by itself comes back, and one that does so again and again is left alone.
local h = require('harness')
local test, open, write, repository = h.test, h.open, h.write, h.repository

local function edited()
  local repo = repository({ ['a.txt'] = 'one\ntwo\n' })
  write(repo .. '/a.txt', 'one\nbad\n')
  local buffer = open(repo .. '/a.txt')
  h.sees_diagnostics(buffer, '^2%-2$')
  return repo, buffer
end

local function process()
  local client = h.client()
  return client and client.rpc and vim.tbl_get(client, 'initialized') and client or nil
end

--- Kills the server and waits until the editor knows.
local function kill()
  local client = assert(process(), 'no server runs')
  local pids = vim.api.nvim_get_proc_children(vim.uv.os_getpid())
  local killed = 0
  for _, pid in ipairs(pids) do
    local info = vim.api.nvim_get_proc(pid)
    if info and info.name == 'diffidence' then
      vim.uv.kill(pid, 'sigkill')
      killed = killed + 1
    end
  end
  h.equal(killed, 1, 'servers that ran')
  h.eventually('end', nil, function()
    return vim.lsp.get_client_by_id(client.id)
  end)
end

test('a killed server is started again, with what it was told', function()
  local _, buffer = edited()
  vim.cmd('Diffidence task Say two things')
  h.sees_lens(buffer, 'with task')
  kill()
  h.equal(h.diagnostics(buffer), '', 'nothing stale is shown')
  h.sees_diagnostics(buffer, '^2%-2$')
  h.sees_lens(buffer, 'with task')
  h.sees_signs(buffer, '^2▎$')
end)

test('restart gives a new server', function()
  local _, buffer = edited()
  local before = h.client().id
  vim.cmd('Diffidence restart')
  h.eventually('another server', 'true', function()
    local client = process()
    return client ~= nil and client.id ~= before
  end)
  h.sees_diagnostics(buffer, '^2%-2$')
  h.sees_lens(buffer, 'likely correct')
end)

test('after repeated crashes it is said and the server left alone, until restart', function()
  local _, buffer = edited()
  -- `restart` above forgot the ends before it.
  for _ = 1, require('diffidence.backoff').LIMIT do
    h.eventually('server', 'true', function()
      return process() ~= nil
    end)
    kill()
  end
  h.is_told('the server ended 5 times within 3 minutes and is not started again.*:Diffidence restart')
  h.sees_status(buffer, '^stopped$')
  vim.cmd('Diffidence restart')
  h.sees_diagnostics(buffer, '^2%-2$')
end)

test('a server that is stopped on purpose stays so', function()
  edited()
  local client = h.client()
  client:stop(true)
  h.eventually('end', nil, function()
    return vim.lsp.get_client_by_id(client.id)
  end)
  -- Longer than the first pause before a restart.
  vim.wait(2 * require('diffidence.backoff').FIRST_DELAY_MS, function()
    return h.client() ~= nil
  end)
  h.equal(h.client(), nil)
end)
