--- The answer of `diffidence/changes` as entries of the quickfix list. Pure.
local M = {}

---@class diffidence.Hunk
---@field id string
---@field line integer 0-based
---@field endLine integer 0-based
---@field added integer
---@field removed integer
---@field probability? number
---@field low boolean
---@field ignored boolean
---@field preview string

---@class diffidence.File
---@field uri string
---@field path string
---@field status? string
---@field state 'scored'|'waiting'|'postponed'|'abstained'|'skipped'|'failed'
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
---@field abstained? integer
---@field skipped integer
---@field failed? integer
---@field files diffidence.File[]

---@class diffidence.Target What a hunk is known by.
---@field uri string
---@field id string

local NO_SCORE = {
  waiting = 'waits',
  postponed = 'put off',
  abstained = 'cannot judge',
  failed = 'failed',
  skipped = 'not scored',
}

---@param n integer
---@param noun string
---@return string
local function count(n, noun)
  return ('%d %s%s'):format(n, noun, n == 1 and '' or 's')
end

---@param file diffidence.File
---@param hunk diffidence.Hunk
---@return string
local function text(file, hunk)
  local score = hunk.probability and ('%3.0f%%'):format(hunk.probability * 100)
    or NO_SCORE[file.state]
    or '  –'
  local ignored = hunk.ignored and ' (ignored)' or ''
  return ('%s  +%d -%d%s  %s'):format(score, hunk.added, hunk.removed, ignored, hunk.preview)
end

--- Entries, the lowest score first, what has none last.
---@param changes diffidence.Changes
---@return vim.quickfix.entry[]
function M.entries(changes)
  local rows = {}
  for _, file in ipairs(changes.files) do
    local filename = vim.uri_to_fname(file.uri)
    local exists = file.status ~= 'deleted'
    for _, hunk in ipairs(file.hunks) do
      table.insert(rows, {
        rank = hunk.probability or 2,
        entry = {
          filename = filename,
          lnum = hunk.line + 1,
          end_lnum = hunk.endLine + 1,
          text = text(file, hunk),
          type = hunk.low and not hunk.ignored and 'W' or '',
          valid = exists and 1 or 0,
          user_data = { uri = file.uri, id = hunk.id },
        },
      })
    end
    if #file.hunks == 0 then
      local reason = file.reason and ': ' .. file.reason or ''
      table.insert(rows, {
        rank = 3,
        entry = {
          filename = filename,
          lnum = 1,
          text = (NO_SCORE[file.state] or 'no hunks') .. reason,
          valid = 0,
        },
      })
    end
  end
  table.sort(rows, function(a, b)
    if a.rank ~= b.rank then
      return a.rank < b.rank
    elseif a.entry.filename ~= b.entry.filename then
      return a.entry.filename < b.entry.filename
    end
    return a.entry.lnum < b.entry.lnum
  end)
  return vim.tbl_map(function(row)
    return row.entry
  end, rows)
end

--- What the list is called.
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
  local parts = { ('Diffidence: %s, %d low, against %s'):format(count(hunks, 'hunk'), low, changes.base) }
  if changes.withTask then
    table.insert(parts, 'with task')
  end
  for _, part in ipairs({
    { changes.waiting, 'still to score' },
    { changes.postponed, 'put off' },
    { changes.abstained or 0, 'cannot be judged' },
    { changes.skipped, 'skipped' },
    { changes.failed or 0, 'failed' },
  }) do
    if part[1] > 0 then
      table.insert(parts, ('%s %s'):format(count(part[1], 'file'), part[2]))
    end
  end
  return table.concat(parts, ' · ')
end

return M
