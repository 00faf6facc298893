-- The init.lua of the editor under test: what the README says is enough, and then the spec.
local spec = assert(vim.env.DIFFIDENCE_SPEC, 'DIFFIDENCE_SPEC must name a spec')
-- A plugin that is loaded late is turned on late.
if vim.fs.basename(spec) ~= 'lazy.lua' then
  vim.lsp.enable('diffidence')
end

local here = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
vim.api.nvim_create_autocmd('VimEnter', {
  once = true,
  callback = function()
    vim.schedule(function()
      require('harness').run(spec)
    end)
  end,
})
