import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crashes } from '../src/core/crashes';

test('the pauses grow, and five crashes within three minutes are too many', () => {
  const crashes = new Crashes();
  const decisions = [0, 1, 2, 3, 4].map((second) => crashes.decide(second * 1000));
  assert.deepEqual(decisions, [
    { restartAfter: 250 },
    { restartAfter: 500 },
    { restartAfter: 1000 },
    { restartAfter: 2000 },
    { giveUp: 'its server ended 5 times within 3 minutes' },
  ]);
  crashes.forget();
  assert.deepEqual(crashes.decide(5000), { restartAfter: 250 });
});

test('crashes far from each other are forgiven', () => {
  const crashes = new Crashes();
  for (let minute = 0; minute < 60; minute += 2) {
    const decision = crashes.decide(minute * 60_000);
    assert.ok('restartAfter' in decision && decision.restartAfter <= 500, `minute ${minute}`);
  }
});
