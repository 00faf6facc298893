import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileNote, hunkNote, percent, progress, statusText, terms } from '../src/core/words';
import { changes, file, hunk } from './make';

test('percentages are those of the server', () => {
  const cases: [number, string][] = [
    [0, '0%'],
    [0.001, '1%'],
    [0.344, '34%'],
    [0.345, '35%'],
    [0.999, '99%'],
    [1, '100%'],
  ];
  for (const [probability, text] of cases) {
    assert.equal(percent(probability), text);
  }
});

test('a file tells its score, or why it has none', () => {
  const low = hunk(1, { probability: 0.1, low: true });
  const cases: [ReturnType<typeof file>, string][] = [
    [file('a', { probability: 0.43, hunks: [low] }), '43% · 1 to check'],
    [file('a', { probability: 0.43, hunks: [{ ...low, ignored: true }] }), '43% · 1 ignored'],
    [file('a', { probability: 0.9, status: 'added' }), '90% · added'],
    [file('a', { state: 'waiting' }), 'scoring…'],
    [file('a', { state: 'skipped', reason: 'lock file' }), 'not scored: lock file'],
    [file('a', { state: 'failed', reason: 'no model' }), 'cannot score: no model'],
    [file('a', { state: 'postponed' }), 'not scored yet'],
    [file('a', { state: 'abstained', reason: 'prose' }), 'cannot judge: prose'],
  ];
  for (const [of, note] of cases) {
    assert.equal(fileNote(of), note);
  }
});

test('a hunk tells where it is and what it changes', () => {
  assert.equal(hunkNote(hunk(11, { added: 3, removed: 1 })), 'line 12 · +3 −1');
  assert.equal(hunkNote(hunk(0, { added: 0, removed: 2 })), 'line 1 · −2');
  assert.equal(hunkNote(hunk(0, { added: 1, removed: 0, ignored: true })), 'line 1 · +1 · ignored');
});

test('the status bar tells the score and what is to check', () => {
  const low = file('a', { hunks: [hunk(1, { probability: 0.1, low: true })] });
  const cases: [Parameters<typeof statusText>, string][] = [
    [[undefined, undefined], 'Diffidence'],
    [[changes([]), undefined], 'no changes'],
    [[changes([low]), 0.43], '43% · 1 to check'],
    [[changes([low]), undefined], '1 to check'],
    [[changes([file('a')]), 0.9], '90% · nothing low'],
    [[changes([low], { scored: 0, waiting: 1, complete: false }), undefined], 'scoring…'],
    [[changes([low], { scored: 0, skipped: 1 }), undefined], 'nothing scored'],
  ];
  for (const [[of, probability], text] of cases) {
    assert.equal(statusText(of, probability), text);
  }
});

test('what is still to come stands above the tree', () => {
  const some = changes([], { scored: 3, waiting: 4 });
  assert.equal(progress([some, changes([], { scored: 1 })]), 'Scoring: 4 of 8 files done');
  assert.equal(progress([changes([], { postponed: 1 })]), '1 file not scored yet');
  assert.equal(progress([changes([])]), undefined);
  assert.equal(terms(changes([], { withTask: true })), 'against HEAD (1234567) · with task');
});
