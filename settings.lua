--- Settings that are changed while the editor runs.
---
--- Invariant: what is said here counts for the running server only, until Neovim ends.

local M = {}

---@return diffidence.Settings
local function current()
  local client = require('diffidence.client').find()
  local settings = client and client.settings or {}
  return settings.diffidence or {}
end

---@param changes diffidence.Settings
local function change(changes)
  require('diffidence.client').with(function(client)
    local own = vim.tbl_extend('force', client.settings.diffidence or {}, changes)
    client.settings = vim.tbl_extend('force', client.settings, { diffidence = own })
    -- A server that is started again has them, too.
    client.config.settings = client.settings
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end)
end

--- Turns scoring off or on.
function M.toggle()
  local enable = current().enable == false
  change({ enable = enable })
  require('diffidence.show').info('Diffidence: ' .. (enable and 'on.' or 'off.'))
end

--- Compares with another base; says which it is if none is given.
---@param base? string
function M.base(base)
  local show = require('diffidence.show')
  if not base then
    local given = current().base
    show.info(
      given and ('Diffidence: the base is `%s`.'):format(given)
        or 'Diffidence: the base is that of `diffidence.toml`, else `head`.'
    )
    return
  end
  change({ base = base })
  show.info(('Diffidence: comparing with `%s`.'):format(base))
end

--- What is likely to be a base: for completion.
---@return string[]
function M.bases()
  local bases = { 'head', 'index' }
  local ran = vim
    .system({ 'git', 'for-each-ref', '--format=%(refname:short)', 'refs/heads', 'refs/remotes', 'refs/tags' }, { text = true, timeout = 2000 })
    :wait()
  local names = ran.code == 0 and vim.split(ran.stdout, '\n', { trimempty = true }) or {}
  vim.list_extend(bases, names)
  for _, name in ipairs(names) do
    bases[#bases + 1] = 'merge-base:' .. name
  end
  return bases
end

return M
