--- Candidate patches for one task: ranked, shown, and one of them applied, by the server.
local client_of = require('diffidence.client')
local say = require('diffidence.say')

local M = {}

---@class diffidence.Source Where a candidate comes from.
---@field kind 'patch'|'branch'|'worktree'
---@field path? string Of a patch file or the folder of a work tree.
---@field name? string Of a branch, or any revision.

---@class diffidence.ComparedFile
---@field path string
---@field oldPath? string
---@field status string
---@field added integer
---@field removed integer
---@field probability? number The lowest of its hunks.

---@class diffidence.Compared
---@field id string
---@field candidate diffidence.Source
---@field digest string
---@field files diffidence.ComparedFile[]
---@field skipped { path: string, reason: string }[]

---@class diffidence.Comparison
---@field root string
---@field text string For people.
---@field candidates diffidence.Compared[]

--- The last comparison: what is applied must be what was ranked.
---@type diffidence.Comparison?
local last

--- What a word of the command names: a file, the folder of a work tree, or else a branch.
---@param word string
---@return diffidence.Source
function M.source(word)
  local path = vim.fs.normalize(vim.fn.fnamemodify(vim.fs.normalize(word), ':p'))
  local found = vim.uv.fs_stat(path)
  if found then
    return { kind = found.type == 'directory' and 'worktree' or 'patch', path = path }
  end
  return { kind = 'branch', name = word }
end

--- The client and the repository, or nil after saying that there is none.
---@return vim.lsp.Client? client
---@return string? root
local function here()
  local client = client_of.need()
  -- What the plugin shows lies in no folder.
  local is_ours = vim.api.nvim_buf_get_name(0):match('^diffidence://')
  local root = client and (is_ours and last and last.root or client_of.root())
  if client and not root then
    say('there is no git repository here', vim.log.levels.WARN)
  end
  return root and client, root
end

---@param n integer
---@param noun string
---@return string
local function count(n, noun)
  return ('%d %s%s'):format(n, noun, n == 1 and '' or 's')
end

--- Ranks candidates and shows the best first.
---@param words string[]
function M.compare(words)
  local client, root = here()
  if not client then
    return
  elseif #words == 0 then
    say('use `:Diffidence compare {patch file, branch or folder of a work tree} …`', vim.log.levels.WARN)
    return
  end
  say(('comparing %s…'):format(count(#words, 'candidate')))
  local params = { root = root, candidates = vim.tbl_map(M.source, words) }
  client_of.request(client, 'diffidence/compare', params, function(comparison)
    last = comparison
    require('diffidence.scratch').show('candidates', vim.split(vim.trim(comparison.text), '\n'))
  end)
end

--- A candidate of the last comparison in this repository.
---@param root string
---@param source diffidence.Source
---@return diffidence.Compared?
local function compared(root, source)
  for _, one in ipairs(last and last.root == root and last.candidates or {}) do
    if vim.deep_equal(one.candidate, source) then
      return one
    end
  end
end

--- Shows a file of a candidate beside its base, or beside another candidate's.
---@param words string[]
function M.view(words)
  local client, root = here()
  if not client then
    return
  elseif #words < 1 or #words > 2 then
    say('use `:Diffidence view {candidate} [{other candidate}]`', vim.log.levels.WARN)
    return
  end
  local found = {}
  for number, word in ipairs(words) do
    found[number] = compared(root, M.source(word))
    if not found[number] then
      local text = '%s is not among the candidates that were compared: begin with `:Diffidence compare`'
      say(text:format(word), vim.log.levels.WARN)
      return
    end
  end
  require('diffidence.beside').view(client, root, found[1], found[2])
end

--- Makes the changes of a candidate, unsaved.
---@param words string[]
function M.apply(words)
  local client, root = here()
  if not client then
    return
  elseif #words ~= 1 then
    say('use `:Diffidence apply {patch file, branch or folder of a work tree}`', vim.log.levels.WARN)
    return
  end
  local source = M.source(words[1])
  local known = compared(root, source)
  local params = { root = root, candidate = source, digest = known and known.digest }
  client_of.request(client, 'diffidence/applyCandidate', params, function(done)
    local text = 'made the changes of %s in %s; nothing is saved yet'
    say(text:format(words[1], count(done.files, 'file')))
  end)
end

--- The candidates that were compared last, with spaces escaped.
---@return string[]
function M.complete_compared()
  return vim.tbl_map(function(one)
    return ((one.candidate.name or one.candidate.path):gsub(' ', '\\ '))
  end, last and last.candidates or {})
end

--- Branches, work trees and files that a candidate may be read from, with spaces escaped.
---@param lead string
---@return string[]
function M.complete(lead)
  local found = vim.fn.getcompletion((lead:gsub('\\ ', ' ')), 'file')
  local client, root = client_of.get(), client_of.root()
  local answer = client and root and client:request_sync('diffidence/candidates', { root = root }, 1000)
  local choices = answer and answer.result
  if choices then
    vim.list_extend(found, choices.branches)
    vim.list_extend(found, choices.worktrees)
  end
  return vim.tbl_map(function(word)
    return (word:gsub(' ', '\\ '))
  end, found)
end

return M
