import assert from 'node:assert/strict';
import { test } from 'node:test';
import { step } from '../src/core/steps';
import { file, hunk } from './make';

const low = (line: number) => hunk(line, { probability: 0.1, low: true });
const files = [
  file('b', { hunks: [low(20), hunk(5, { probability: 0.9 }), low(10)] }),
  file('a', { hunks: [low(3), { ...low(7), ignored: true }] }),
  file('c', { hunks: [hunk(1)] }),
];
const at = (path: string, line: number) => ({ uri: `file:///repo/${path}`, line });

test('steps lead through the file, then the others, then around', () => {
  const cases = [
    { from: undefined, next: at('a', 3), previous: at('b', 20) },
    { from: at('a', 0), next: at('a', 3), previous: at('b', 20) },
    { from: at('a', 3), next: at('b', 10), previous: at('b', 20) },
    { from: at('b', 10), next: at('b', 20), previous: at('a', 3) },
    { from: at('b', 15), next: at('b', 20), previous: at('b', 10) },
    { from: at('b', 20), next: at('a', 3), previous: at('b', 10) },
    { from: at('c', 1), next: at('a', 3), previous: at('b', 20) },
    { from: at('unchanged', 1), next: at('a', 3), previous: at('b', 20) },
  ];
  for (const { from, next, previous } of cases) {
    assert.deepEqual(step(files, from, 'next'), next);
    assert.deepEqual(step(files, from, 'previous'), previous);
  }
});

test('where nothing is low there is nowhere to go', () => {
  assert.equal(step([file('a', { hunks: [hunk(1)] })], at('a', 1), 'next'), undefined);
});
