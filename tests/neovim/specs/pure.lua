-- Modules that need neither server nor window.
local h = require('harness')
local test = h.test

test('pauses grow, and too many ends are too many', function()
  local next = require('diffidence.backoff').next
  local ends, delays, delay = {}, {}, nil
  for n = 1, 4 do
    delay, ends = next(ends, n * 1000)
    table.insert(delays, delay)
  end
  h.equal(delays, { 500, 1000, 2000, 4000 })
  delay = next(ends, 5000)
  h.equal(delay, nil)
  -- Long ago no longer counts.
  delay, ends = next(ends, 300000)
  h.equal({ delay, ends }, { 500, { 300000 } })
end)

test('what the status says', function()
  local text = require('diffidence.status').text
  local function of(state, message, title)
    return text({ state = state, message = message }, title)
  end
  h.equal(of('idle', '', nil), '')
  h.equal(of('idle', '', '43% likely correct'), '43% likely correct')
  h.equal(of('scoring', '', '43% likely correct'), '43% likely correct')
  h.equal(of('loading', '', 'scoring…'), 'loading the model')
  h.equal(of('loading', '', '43% likely correct'), '43% likely correct')
  h.equal(of('off', '', nil), 'off')
  h.equal(of('degraded', 'no model', '43%'), 'cannot score: no model')
  h.equal(text(nil, nil), '')
end)

test('entries of the list', function()
  local changes = require('diffidence.changes')
  local function hunk(id, line, probability, more)
    local it = { id = id, line = line, endLine = line, added = 1, removed = 0, probability = probability }
    return vim.tbl_extend('force', it, { low = false, ignored = false, preview = 'x' }, more or {})
  end
  local function file(path, state, hunks, more)
    local it = { uri = 'file:///r/' .. path, path = path, status = 'modified', state = state, hunks = hunks }
    return vim.tbl_extend('force', it, more or {})
  end
  local answer = {
    root = '/r',
    base = 'HEAD (1234567)',
    withTask = true,
    complete = false,
    scored = 2,
    waiting = 1,
    postponed = 0,
    abstained = 1,
    skipped = 1,
    files = {
      file('a', 'scored', { hunk('1', 3, 0.9), hunk('2', 8, 0.123, { low = true }) }),
      file('b%20c', 'scored', { hunk('3', 0, 0.2, { low = true, ignored = true }) }, { status = 'deleted' }),
      file('d', 'waiting', { hunk('4', 1) }),
      file('e', 'skipped', {}, { reason = 'lock file' }),
      file('f', 'abstained', { hunk('5', 1) }, { reason = 'prose' }),
    },
  }
  local lines = vim.tbl_map(function(entry)
    return ('%s:%d %s%s|%s'):format(entry.filename, entry.lnum, entry.type or '', entry.valid, entry.text)
  end, changes.entries(answer))
  h.equal(lines, {
    '/r/a:9 W1| 12%  +1 -0  x',
    '/r/b c:1 0| 20%  +1 -0 (ignored)  x',
    '/r/a:4 1| 90%  +1 -0  x',
    '/r/d:2 1|waits  +1 -0  x',
    '/r/f:2 1|cannot judge  +1 -0  x',
    '/r/e:1 0|not scored: lock file',
  })
  h.equal(
    changes.title(answer),
    'Diffidence: 5 hunks, 1 low, against HEAD (1234567) · with task · 1 file still to score · 1 file cannot be judged · 1 file skipped'
  )
end)

test('signs are on each run of changed lines', function()
  local signs = require('diffidence.signs').of({
    {
      lnum = 3,
      end_lnum = 4,
      severity = vim.diagnostic.severity.WARN,
      user_data = { lsp = { relatedInformation = { { location = { range = { start = { line = 8 }, ['end'] = { line = 8 } } } } } } },
    },
    { lnum = 20, severity = vim.diagnostic.severity.INFO },
  })
  local seen = vim.tbl_map(function(sign)
    return sign.line .. sign.highlight:sub(#'Diffidence' + 1)
  end, signs)
  h.equal(seen, { '3VeryLow', '4VeryLow', '8VeryLow', '20Low' })
end)

test('versions of the server that are understood', function()
  local is_supported = require('diffidence.client').is_supported
  h.equal({ is_supported('0.1.0'), is_supported('0.1.7') }, { true, true })
  h.equal({ is_supported('0.2.0'), is_supported('0.0.9'), is_supported('x'), is_supported(nil) }, { false, false, false, false })
end)
