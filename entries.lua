--- The changes of a repository as entries of the quickfix list.
---
--- Invariant: pure. The order is: what is to be looked at first, then what has no score, and no
--- changed file is left out.

local M = {}

---@class diffidence.Hunk
---@field id string
---@field line integer First changed line of the new text, from 0.
---@field endLine integer
---@field added integer
---@field removed integer
---@field probability? number
---@field low boolean
---@field ignored boolean
---@field preview string

---@class diffidence.File
---@field uri string
---@field path string
---@field oldPath? string
---@field status? string
---@field state 'scored'|'waiting'|'postponed'|'skipped'|'failed'
---@field reason? string
---@field probability? number
---@field hunks diffidence.Hunk[]

---@class diffidence.Changes
---@field root string
---@field base string
---@field withTask boolean
---@field complete boolean
---@field scored integer
---@field waiting integer
---@field postponed integer
---@field skipped integer
---@field failed integer
---@field files diffidence.File[]

--- What an entry of the quickfix list is about.
---@class diffidence.EntryData
---@field uri string
---@field hunk? string

--- As the server rounds: 0% and 100% only if it is exactly that.
---@param probability number
---@return string
function M.percent(probability)
  local percent = math.floor(probability * 100 + 0.5)
  if probability < 1 then
    percent = math.min(percent, 99)
  end
  if probability > 0 then
    percent = math.max(percent, 1)
  end
  return ('%d%%'):format(percent)
end

local STATES = {
  waiting = 'still to be scored',
  postponed = 'put off: `:Diffidence list all` goes on',
  skipped = 'not scored',
  failed = 'cannot score',
}

---@param file diffidence.File
---@param hunk diffidence.Hunk
---@return string
local function text_of_hunk(file, hunk)
  local score = hunk.probability and M.percent(hunk.probability) .. ' likely correct'
    or STATES[file.state]
    or 'no score'
  local ignored = hunk.ignored and ' · ignored' or ''
  return ('%s%s · +%d -%d · %s'):format(score, ignored, hunk.added, hunk.removed, hunk.preview)
end

--- The groups of the order: hunks with a score, without, ignored ones, files without hunks.
---@param hunk? diffidence.Hunk
---@return integer
local function group(hunk)
  if not hunk then
    return 4
  end
  return hunk.ignored and 3 or hunk.probability and 1 or 2
end

--- The entries, the lowest score first.
---@param changes diffidence.Changes
---@return vim.quickfix.entry[]
function M.of(changes)
  local rows = {}
  for _, file in ipairs(changes.files) do
    local entry = function(hunk, fields)
      fields.filename = vim.uri_to_fname(file.uri)
      fields.valid = file.status == 'deleted' and 0 or 1
      fields.user_data = { uri = file.uri, hunk = hunk and hunk.id }
      local score = hunk and hunk.probability or math.huge
      rows[#rows + 1] = { group = group(hunk), score = score, index = #rows, entry = fields }
    end
    for _, hunk in ipairs(file.hunks) do
      entry(hunk, {
        lnum = hunk.line + 1,
        end_lnum = hunk.endLine > hunk.line and hunk.endLine + 1 or nil,
        text = text_of_hunk(file, hunk),
        type = hunk.low and not hunk.ignored and 'W' or 'I',
      })
    end
    if #file.hunks == 0 then
      local reason = file.reason and ': ' .. file.reason or ''
      entry(nil, { lnum = 1, text = (STATES[file.state] or 'no hunks') .. reason, type = 'I' })
    end
  end
  table.sort(rows, function(a, b)
    if a.group ~= b.group then
      return a.group < b.group
    elseif a.score ~= b.score then
      return a.score < b.score
    end
    return a.index < b.index
  end)
  return vim.tbl_map(function(row)
    return row.entry
  end, rows)
end

--- The title of the list.
---@param changes diffidence.Changes
---@return string
function M.title(changes)
  local hunks, low = 0, 0
  for _, file in ipairs(changes.files) do
    for _, hunk in ipairs(file.hunks) do
      hunks = hunks + 1
      low = low + (hunk.low and not hunk.ignored and 1 or 0)
    end
  end
  local parts = { ('%d of %d hunks to check'):format(low, hunks), 'against ' .. changes.base }
  if changes.withTask then
    parts[#parts + 1] = 'with task'
  end
  for _, state in ipairs({ 'waiting', 'postponed', 'skipped', 'failed' }) do
    if (changes[state] or 0) > 0 then
      local word = state == 'postponed' and 'put off' or state
      parts[#parts + 1] = ('%d %s'):format(changes[state], word)
    end
  end
  return 'Diffidence: ' .. table.concat(parts, ' · ')
end

return M
