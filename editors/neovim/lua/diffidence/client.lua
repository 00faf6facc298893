--- The running language server: where it is wanted, how to ask it, and what happens as it comes.
---
--- Invariant: at most one server runs, for all repositories.
local say = require('diffidence.say')

local M = {}

--- Versions of the server that this plugin speaks with.
M.SUPPORTED = '0.1.x'

---@return vim.lsp.Client?
function M.get()
  return vim.lsp.get_clients({ name = 'diffidence' })[1]
end

--- The running server, or nil after saying that there is none.
---@return vim.lsp.Client?
function M.need()
  local client = M.get()
  if not client then
    say('the server does not run here; see :checkhealth diffidence', vim.log.levels.WARN)
  end
  return client
end

--- The command that starts the server.
---@return string[]
function M.cmd()
  local cmd = (vim.lsp.config.diffidence or {}).cmd
  return type(cmd) == 'table' and cmd or { 'diffidence', 'lsp' }
end

--- The repository that the user is in: that of the buffer, or of the working folder.
---@param buffer? integer
---@return string?
function M.root(buffer)
  local name = vim.api.nvim_buf_get_name(buffer or 0)
  local is_file = vim.bo[buffer or 0].buftype == '' and name ~= '' and not name:match('^%a[%w+.-]+://')
  return (is_file and vim.fs.root(name, '.git')) or vim.fs.root(vim.fn.getcwd(), '.git')
end

--- Calls `start` for files in a repository, and only if the server is there.
---@param buffer integer
---@param start fun(root: string)
function M.find_root(buffer, start)
  local name = vim.api.nvim_buf_get_name(buffer)
  -- The other side of a diff, say `fugitive://`, is not a file that changes.
  if name == '' or vim.bo[buffer].buftype ~= '' or name:match('^%a[%w+.-]+://') then
    return
  end
  local root = vim.fs.root(name, '.git')
  if not root then
    return
  end
  local program = M.cmd()[1]
  if vim.fn.executable(program) == 0 then
    vim.notify_once(
      ('Diffidence: `%s` is not there; see :checkhealth diffidence'):format(program),
      vim.log.levels.WARN
    )
    return
  end
  start(root)
end

--- `vim.lsp.enable` attaches when a file type is set; files without one are attached here.
---@param buffer integer
function M.attach_untyped(buffer)
  if #vim.lsp.get_clients({ name = 'diffidence', bufnr = buffer }) > 0 then
    return
  end
  M.find_root(buffer, function(root)
    local config = vim.deepcopy(vim.lsp.config.diffidence)
    if config.filetypes then
      return
    end
    config.root_dir = root
    vim.lsp.start(config, { bufnr = buffer, reuse_client = config.reuse_client })
  end)
end

---@param text? string
---@return boolean
function M.is_supported(text)
  local version = text and vim.version.parse(text)
  return version ~= nil and vim.version.range(M.SUPPORTED):has(version)
end

--- A server is ready for use.
---@param client vim.lsp.Client
---@param result lsp.InitializeResult
function M.started(client, result)
  local version = result.serverInfo and result.serverInfo.version
  if not M.is_supported(version) then
    say(
      ('the server has version %s, this plugin needs %s'):format(version or 'unknown', M.SUPPORTED),
      vim.log.levels.WARN
    )
  end
  require('diffidence.settings').renew(client)
  require('diffidence.task').renew(client)
end

---@param client_id integer
---@param buffer integer
function M.attached(client_id, buffer)
  require('diffidence.signs').attach(client_id)
  require('diffidence.lens').refresh(client_id, buffer)
  require('diffidence.status').show(client_id, buffer)
end

---@param buffer integer
function M.detached(buffer)
  require('diffidence.lens').forget(buffer)
  require('diffidence.signs').draw(buffer, {})
  require('diffidence.status').clear(buffer)
end

--- `window/showMessage`: under the same name as what the plugin says itself.
---@param message lsp.ShowMessageParams
function M.told(message)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  say((message.message:gsub('^Diffidence: ', '')), levels[message.type])
end

--- Sends a request and passes on its result; says what went wrong.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param done? fun(result: any)
function M.request(client, method, params, done)
  client:request(method, params, function(problem, result)
    if problem then
      say(problem.message, vim.log.levels.WARN)
    elseif done then
      done(result)
    end
  end)
end

--- Has the server run a command.
---@param client vim.lsp.Client
---@param name string
---@param arguments any[]
---@param done? fun(result: any)
function M.execute(client, name, arguments, done)
  M.request(client, 'workspace/executeCommand', { command = name, arguments = arguments }, done)
end

return M
