--- What can be done about a whole file or all changes of its repository.

local M = {}

--- Calls `call` with the client of the current buffer and its URI, or says that there is none.
---@param call fun(client: vim.lsp.Client, uri: string)
local function attached(call)
  local buffer = vim.api.nvim_get_current_buf()
  local client = require('diffidence.client').find_attached(buffer)
  if client then
    call(client, vim.uri_from_bufnr(buffer))
  else
    require('diffidence.show').problem('Diffidence: ' .. require('diffidence.status').sentence(buffer) .. '.')
  end
end

--- Computes the score again.
function M.rescore()
  attached(function(client, uri)
    require('diffidence.client').execute(client, 'diffidence.rescore', { uri })
  end)
end

--- Shows the changes against the base.
function M.diff()
  attached(function(client, uri)
    require('diffidence.client').execute(client, 'diffidence.showDiff', { uri }, function(result)
      require('diffidence.show').text('diff ' .. vim.uri_to_fname(uri), result.diff, 'diff')
    end)
  end)
end

--- Says how likely all changes of the repository are correct as one.
function M.workspace_score()
  local module = require('diffidence.client')
  local place = module.place(vim.api.nvim_get_current_buf())
  module.with(function(client)
    module.execute(client, 'diffidence.workspaceScore', { place }, function(result)
      local entries = require('diffidence.entries')
      local low = result.low_hunks == 1 and '1 hunk' or ('%d hunks'):format(result.low_hunks)
      local files = result.files == 1 and '1 file' or ('%d files'):format(result.files)
      require('diffidence.show').info(
        type(result.probability) == 'number'
            and ('Diffidence: %s likely correct · %s · %s to check · against %s'):format(
              entries.percent(result.probability),
              files,
              low,
              result.base
            )
          or ('Diffidence: no changes to score against %s'):format(result.base)
      )
    end)
  end)
end

return M
