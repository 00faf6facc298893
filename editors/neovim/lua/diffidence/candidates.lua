--- Candidate patches for one task: ranked, and one of them applied, by the server.
local client_of = require('diffidence.client')
local say = require('diffidence.say')

local M = {}

---@class diffidence.Source Where a candidate comes from.
---@field kind 'patch'|'branch'|'worktree'
---@field path? string Of a patch file or the folder of a work tree.
---@field name? string Of a branch, or any revision.

---@class diffidence.Compared
---@field id string
---@field candidate diffidence.Source
---@field digest string

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
  local root = client and client_of.root()
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
    require('diffidence.scratch')('candidates', vim.split(vim.trim(comparison.text), '\n'))
  end)
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
  local digest
  for _, compared in ipairs(last and last.root == root and last.candidates or {}) do
    if vim.deep_equal(compared.candidate, source) then
      digest = compared.digest
    end
  end
  local params = { root = root, candidate = source, digest = digest }
  client_of.request(client, 'diffidence/applyCandidate', params, function(done)
    local text = 'made the changes of %s in %s; nothing is saved yet'
    say(text:format(words[1], count(done.files, 'file')))
  end)
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
