--- A candidate's file beside its base, or beside the same file of another candidate, in a tab page.
local client_of = require('diffidence.client')
local say = require('diffidence.say')

local M = {}

--- What stands for a candidate where there is little room.
---@param one diffidence.Compared
---@return string
local function short(one)
  return one.candidate.kind == 'branch' and one.id or vim.fs.basename((one.id:gsub('[\\/]+$', '')))
end

--- The path at which `other` changes the same file, renamed or not; none if it leaves it alone.
---@param other diffidence.Compared
---@param file diffidence.ComparedFile
---@return string?
local function same_path(other, file)
  for _, known in ipairs(vim.list_extend(vim.list_slice(other.files), other.skipped)) do
    if known.path == file.path then
      return known.path
    end
  end
  for _, known in ipairs(other.files) do
    if (known.oldPath or known.path) == (file.oldPath or file.path) then
      return known.path
    end
  end
end

---@class diffidence.Side
---@field name string Of what the text is of.
---@field path string
---@field text? string

---@param side diffidence.Side
---@return integer buffer
local function paper(side)
  local text = (side.text or ''):gsub('\n$', '')
  local filetype = vim.filetype.match({ filename = side.path, contents = vim.split(text, '\n') })
  local name = ('%s/%s'):format(side.name, side.path)
  return require('diffidence.scratch').buffer(name, vim.split(text, '\n'), filetype, '<Cmd>tabclose<CR>')
end

---@param left diffidence.Side
---@param right diffidence.Side
local function show(left, right)
  local before, after = paper(left), paper(right)
  vim.cmd(('tab sbuffer %d'):format(before))
  vim.cmd.diffthis()
  vim.cmd(('rightbelow vertical sbuffer %d'):format(after))
  vim.cmd.diffthis()
  vim.cmd('silent! normal! gg]c')
end

---@param client vim.lsp.Client
---@param root string
---@param one diffidence.Compared
---@param file diffidence.ComparedFile
local function beside_base(client, root, one, file)
  local params = { root = root, candidate = one.candidate, path = file.path }
  client_of.request(client, 'diffidence/candidateFile', params, function(texts)
    if texts.reason then
      say(('%s: %s'):format(one.id, texts.reason), vim.log.levels.WARN)
      local lines = vim.split(vim.trim(texts.diff), '\n')
      require('diffidence.scratch').show(('%s/%s.diff'):format(short(one), file.path), lines, 'diff')
      return
    end
    local base = { name = texts.base or 'nothing', path = file.oldPath or file.path, text = texts.before }
    show(base, { name = short(one), path = file.path, text = texts.after })
  end)
end

---@param client vim.lsp.Client
---@param root string
---@param other diffidence.Compared
---@param one diffidence.Compared
---@param file diffidence.ComparedFile
local function beside_other(client, root, other, one, file)
  local path = same_path(other, file)
  if not path then
    say(('%s does not change %s: shown beside the base'):format(other.id, file.path))
    return beside_base(client, root, one, file)
  end
  local same_name = short(other) == short(one)
  local function side(of, at, done)
    local params = { root = root, candidate = of.candidate, path = at }
    client_of.request(client, 'diffidence/candidateFile', params, function(texts)
      if texts.reason then
        say(('%s: %s: %s'):format(of.id, at, texts.reason), vim.log.levels.WARN)
      else
        done({ name = same_name and of.id or short(of), path = at, text = texts.after })
      end
    end)
  end
  side(other, path, function(left)
    side(one, file.path, function(right)
      show(left, right)
    end)
  end)
end

---@param file diffidence.ComparedFile
---@return string
local function title(file)
  local notes = { file.path, ('+%d −%d'):format(file.added, file.removed) }
  if file.probability then
    table.insert(notes, 2, ('%.0f%%'):format(file.probability * 100))
  end
  if file.status ~= 'modified' then
    table.insert(notes, file.status)
  end
  return table.concat(notes, ' · ')
end

--- Shows a file of a candidate, which the user chooses if there are several.
---@param client vim.lsp.Client
---@param root string
---@param one diffidence.Compared
---@param other? diffidence.Compared Its base if there is none.
function M.view(client, root, one, other)
  local function open(file)
    if not file then
      return
    elseif other then
      beside_other(client, root, other, one, file)
    else
      beside_base(client, root, one, file)
    end
  end
  if #one.files == 1 then
    open(one.files[1])
  else
    vim.ui.select(one.files, { prompt = ('Files of %s'):format(one.id), format_item = title }, open)
  end
end

return M
