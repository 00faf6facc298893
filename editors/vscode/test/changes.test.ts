import assert from 'node:assert/strict';
import { test } from 'node:test';
import { band, countToCheck, filesByScore, hunksByScore, lowest } from '../src/core/changes';
import { file, hunk } from './make';

test('files come lowest first, by themselves or by a hunk, and without a score last', () => {
  const files = [
    file('z-skipped', { state: 'skipped', hunks: [] }),
    file('a-waiting', { state: 'waiting', hunks: [hunk(1)] }),
    file('high', { probability: 0.9, hunks: [hunk(1, { probability: 0.8 })] }),
    file('low-hunk', { probability: 0.7, hunks: [hunk(1, { probability: 0.1, low: true })] }),
    file('low-file', { probability: 0.2, hunks: [hunk(1, { probability: 0.6 })] }),
    file('ignored', {
      probability: 0.5,
      hunks: [hunk(1, { probability: 0.05, low: true, ignored: true })],
    }),
  ];
  assert.deepEqual(
    filesByScore(files).map((file) => file.path),
    ['low-hunk', 'low-file', 'ignored', 'high', 'a-waiting', 'z-skipped'],
  );
  assert.equal(countToCheck(files), 1);
  assert.equal(files[0] && lowest(files[0]), undefined);
});

test('hunks come lowest first, then without a score, ignored ones last', () => {
  const hunks = [
    hunk(1, { probability: 0.05, ignored: true }),
    hunk(9),
    hunk(5, { probability: 0.3 }),
    hunk(3, { probability: 0.3 }),
    hunk(7, { probability: 0.2 }),
  ];
  assert.deepEqual(
    hunksByScore(hunks).map((hunk) => hunk.line),
    [7, 3, 5, 9, 1],
  );
});

test('the colour follows the word of the server, then the half', () => {
  const cases: [Parameters<typeof hunk>[1], string | undefined][] = [
    [{}, undefined],
    [{ probability: 0.1, low: true }, 'low'],
    [{ probability: 0.6, low: true }, 'low'],
    [{ probability: 0.1, low: true, ignored: true }, undefined],
    [{ probability: 0.49 }, 'middle'],
    [{ probability: 0.5 }, 'high'],
  ];
  for (const [of, expected] of cases) {
    assert.equal(band(hunk(1, of)), expected);
  }
});
