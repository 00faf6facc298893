-- The init.lua of the editor under test: what the README says is enough, and then the spec.
vim.lsp.enable('diffidence')

local here = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
vim.api.nvim_create_autocmd('VimEnter', {
  once = true,
  callback = function()
    vim.schedule(function()
      require('harness').run(assert(vim.env.DIFFIDENCE_SPEC, 'DIFFIDENCE_SPEC must name a spec'))
    end)
  end,
})
