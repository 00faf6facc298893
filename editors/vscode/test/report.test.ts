import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markdown } from '../src/core/report';
import { changes, file, hunk } from './make';

test('a report is a table that survives what code may hold', () => {
  const files = [
    file('src/b.rs', { probability: 0.9, hunks: [hunk(1, { probability: 0.8 })] }),
    file('src/a|b.rs', {
      probability: 0.3,
      hunks: [
        hunk(4, { probability: 0.1, low: true, preview: 'a || `b`' }),
        hunk(8, { probability: 0.2, low: true, ignored: true }),
      ],
    }),
    file('Cargo.lock', { state: 'skipped', reason: 'lock file' }),
  ];
  assert.equal(
    markdown([changes(files, { withTask: true }), changes([])]),
    `### Diffidence: 1 hunk to check

3 changed files in \`repo\`, against HEAD (1234567) · with task.

| likely correct | where | |
|---:|---|---|
| **30%** | \`src/a\\|b.rs\` | 1 to check · 1 ignored |
| 10% | \`src/a\\|b.rs:5\` | \`\` a \\|\\| \`b\` \`\` |
| **90%** | \`src/b.rs\` |  |
|  | \`Cargo.lock\` | not scored: lock file |
`,
  );
  assert.equal(markdown([]), 'Diffidence: no changes to score.\n');
});
