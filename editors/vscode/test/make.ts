/** Parts of the server's answer, for tests. */

import type { ChangedFile, Changes, Hunk } from '../src/core/changes';

export function hunk(line: number, of: Partial<Hunk> = {}): Hunk {
  const base = { endLine: line, added: 1, removed: 1, low: false, ignored: false };
  return { id: `h${line}`, line, ...base, preview: `line ${line}`, ...of };
}

export function file(path: string, of: Partial<ChangedFile> = {}): ChangedFile {
  const uri = `file:///repo/${path}`;
  return { uri, path, status: 'modified', state: 'scored', hunks: [], ...of };
}

export function changes(files: ChangedFile[], of: Partial<Changes> = {}): Changes {
  const none = { waiting: 0, postponed: 0, abstained: 0, skipped: 0, failed: 0 };
  const base = { base: 'HEAD (1234567)', withTask: false, complete: true };
  return { root: '/home/me/repo', ...base, scored: files.length, ...none, files, ...of };
}
