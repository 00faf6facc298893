import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  applied,
  type Compared,
  type ComparedFile,
  candidateFileNote,
  candidateNote,
  candidateTip,
  comparisonNote,
  comparisonTip,
  namesApart,
  samePath,
  shortName,
} from '../src/core/candidates';

const one = (of: Partial<Compared>): Compared => ({
  id: '/a b/good.patch',
  probability: 0.874,
  agreement: 0.625,
  reason: '87% likely correct · 62% agreement with the others',
  same: [],
  candidate: { kind: 'patch', path: '/a b/good.patch' },
  digest: '0',
  base: '1a2b3c4',
  files: [],
  skipped: [],
  ...of,
});

test('a candidate has a short name, its score and its agreement', () => {
  assert.equal(shortName('/a b/good.patch', one({}).candidate), 'good.patch');
  assert.equal(shortName('C:\\trees\\one\\', { kind: 'worktree', path: '' }), 'one');
  assert.equal(shortName('agent/one', { kind: 'branch', name: 'agent/one' }), 'agent/one');
  assert.equal(candidateNote(one({})), '87% · 63% agreement');
  assert.equal(candidateNote(one({ agreement: null, same: ['b'] })), '87% · 1 the same');
  assert.equal(
    candidateTip(one({ same: ['b.patch'] })),
    '/a b/good.patch\n87% likely correct · 62% agreement with the others\n' +
      'the same but for white space: b.patch\nagainst 1a2b3c4',
  );
});

test('a file tells its lowest score, its lines and its folder', () => {
  const file = (of: Partial<ComparedFile>) =>
    candidateFileNote({
      path: 'src/a b.py',
      status: 'modified',
      added: 2,
      removed: 1,
      probability: 0.1,
      ...of,
    });
  assert.equal(file({}), '10% · +2 −1 · src');
  assert.equal(
    file({ path: 'n.py', status: 'added', removed: 0, probability: null }),
    '+2 · added',
  );
});

test('two candidates are told apart, and have the same file under another name', () => {
  const file = (path: string, oldPath?: string): ComparedFile => ({
    path,
    ...(oldPath && { oldPath }),
    status: 'modified',
    added: 1,
    removed: 1,
    probability: null,
  });
  const twin = one({ id: '/c/good.patch' });
  assert.deepEqual(namesApart(one({}), twin), ['/a b/good.patch', '/c/good.patch']);
  assert.deepEqual(namesApart(one({ id: '/c/x.patch' }), twin), ['x.patch', 'good.patch']);
  const other = one({
    files: [file('a.py'), file('new.py', 'old.py')],
    skipped: [{ path: 'picture.png', reason: 'binary' }],
  });
  assert.equal(samePath(other, file('a.py')), 'a.py');
  assert.equal(samePath(other, file('b.py', 'a.py')), 'a.py');
  assert.equal(samePath(other, file('old.py')), 'new.py');
  assert.equal(samePath(other, file('picture.png')), 'picture.png');
  assert.equal(samePath(other, file('b.py')), undefined);
});

test('a comparison tells how many are ranked, and what separates the first two', () => {
  const comparison = {
    root: '/r',
    withTask: true,
    candidates: [one({}), one({})],
    failed: [],
    firstAgainstSecond: ['score 87% against 12%', 'both change the same files'],
  };
  assert.equal(comparisonNote(comparison), '2 ranked · with task');
  assert.equal(
    comparisonTip(comparison),
    '/r\nThe first against the second:\n- score 87% against 12%\n- both change the same files',
  );
  const refused = { id: 'x', reason: 'no diff found', candidate: one({}).candidate };
  const lone = { ...comparison, candidates: [], failed: [refused], withTask: false };
  assert.equal(comparisonNote(lone), '0 ranked · 1 not');
  assert.equal(comparisonTip({ ...lone, firstAgainstSecond: null }), '/r');
});

test('what was applied is said', () => {
  assert.match(applied('good.patch', 2), /changes of good\.patch in 2 files\. Nothing is saved/);
});
