--- Starts the server again: when it ended by itself, after a pause that grows, and on command.
local backoff = require('diffidence.backoff')

local M = {}

---@type integer[]
local ends = {}

--- What the last server was started with, and its buffers.
---@type { config: vim.lsp.ClientConfig, buffers: integer[] }?
local last

---@param config vim.lsp.ClientConfig
---@param buffers integer[]
local function start(config, buffers)
  for _, buffer in ipairs(buffers) do
    if vim.api.nvim_buf_is_loaded(buffer) then
      vim.lsp.start(config, { bufnr = buffer, reuse_client = config.reuse_client })
    end
  end
end

--- The server ended. Runs outside of Neovim's main loop.
---@param code integer
---@param signal integer
---@param client_id integer
function M.on_exit(code, signal, client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  if not client then
    return
  end
  local buffers = vim.tbl_keys(client.attached_buffers)
  local config = client.config
  local meant = client._is_stopping or (code == 0 and signal == 0)
  last = { config = config, buffers = buffers }
  vim.schedule(function()
    if meant or vim.v.exiting ~= vim.NIL then
      return
    end
    local delay
    delay, ends = backoff.next(ends, vim.uv.now())
    if delay then
      vim.defer_fn(function()
        start(config, buffers)
      end, delay)
      return
    end
    -- After Neovim has told the buffers that the server is gone.
    vim.schedule(function()
      require('diffidence.status').stopped(buffers)
    end)
    local text = 'the server ended %d times within %d minutes and is not started again. '
      .. '`:Diffidence log` may say why, `:Diffidence restart` tries once more.'
    local minutes = backoff.WINDOW_MS / 60000
    require('diffidence.say')(text:format(#ends, minutes), vim.log.levels.ERROR)
  end)
end

--- Stops the server, if it runs, and starts it.
function M.restart()
  ends = {}
  local client = require('diffidence.client').get()
  if not client then
    if last then
      start(last.config, last.buffers)
    end
    -- Buffers that were opened meanwhile.
    vim.lsp.enable('diffidence')
    return
  end
  local buffers = vim.tbl_keys(client.attached_buffers)
  client:stop()
  local waits = 0
  local timer = assert(vim.uv.new_timer())
  timer:start(50, 50, vim.schedule_wrap(function()
    waits = waits + 1
    if timer:is_closing() then
      return
    elseif vim.lsp.get_client_by_id(client.id) == nil then
      timer:close()
      start(client.config, buffers)
    elseif waits == 60 then
      client:stop(true)
    end
  end))
end

return M
