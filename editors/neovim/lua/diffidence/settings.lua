--- The server's settings: the user's configuration, and over it what was set by a command.
---
--- Invariant: what a command set outlives the server, not the editor.
local M = {}

---@type table<string, any>
local overrides = {}

---@param settings? table
---@return table<string, any>
local function merged(settings)
  return vim.tbl_extend('force', settings and settings.diffidence or {}, overrides)
end

--- Gives a new server the settings with its first request, so that nothing is scored without them.
---@param params lsp.InitializeParams
---@param config vim.lsp.ClientConfig
function M.before_init(params, config)
  local settings = merged(config.settings)
  if next(settings) then
    local given = params.initializationOptions
    params.initializationOptions = vim.tbl_extend('force', type(given) == 'table' and given or {}, settings)
  end
end

--- Tells a running server what was set by a command.
---@param client vim.lsp.Client
function M.renew(client)
  if next(overrides) then
    client.settings = { diffidence = merged(client.settings) }
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end
end

--- The value in force, as far as the editor knows: a `diffidence.toml` may say otherwise.
---@param client vim.lsp.Client
---@param key string
---@return any
function M.get(client, key)
  return merged(client.settings)[key]
end

---@param client vim.lsp.Client
---@param key string
---@param value any
function M.set(client, key, value)
  overrides[key] = value
  M.renew(client)
end

return M
