/**
 * What the server says about candidate patches for one task: the answers to `diffidence/candidates`,
 * `diffidence/compare` and `diffidence/candidateFile`, and their few words in the view.
 */

import { percent, plural } from './words';

export type Source =
  | { kind: 'patch'; path: string }
  | { kind: 'branch'; name: string }
  | { kind: 'worktree'; path: string };

export interface ComparedFile {
  path: string;
  oldPath?: string;
  status: string;
  added: number;
  removed: number;
  /** The lowest of its hunks. */
  probability: number | null;
}

export interface Compared {
  id: string;
  probability: number;
  /** Mean overlap with the other candidates. */
  agreement: number | null;
  /** Why it is where it is, in words. */
  reason: string;
  /** Those that are the same but for white space. */
  same: string[];
  candidate: Source;
  /** What it changed when it was compared. */
  digest: string;
  /** The commit that it is a change of. */
  base: string | null;
  files: ComparedFile[];
  skipped: { path: string; reason: string }[];
}

export interface Refused {
  id: string;
  reason: string;
  candidate: Source;
}

/** Best first. */
export interface Comparison {
  root: string;
  withTask: boolean;
  candidates: Compared[];
  firstAgainstSecond: string[] | null;
  failed: Refused[];
}

/** What there is to compare. */
export interface Choices {
  root: string;
  branches: string[];
  worktrees: string[];
}

/** One file of a candidate. */
export interface FileTexts {
  diff: string;
  base: string | null;
  before: string | null;
  after: string | null;
  /** Why there is no text. */
  reason?: string;
}

/** What stands for a candidate where there is little room. */
export function shortName(id: string, source: Source): string {
  return source.kind === 'branch' ? id : (id.split(/[\\/]/).filter(Boolean).at(-1) ?? id);
}

/** What tells two candidates apart in a title. */
export function namesApart(left: Compared, right: Compared): [string, string] {
  const first = shortName(left.id, left.candidate);
  const second = shortName(right.id, right.candidate);
  return first === second ? [left.id, right.id] : [first, second];
}

/** The path at which `other` changes the same file, renamed or not; none if it leaves it alone. */
export function samePath(other: Compared, file: ComparedFile): string | undefined {
  const origin = file.oldPath ?? file.path;
  const known = [...other.files, ...other.skipped].find(({ path }) => path === file.path);
  return (known ?? other.files.find(({ path, oldPath }) => (oldPath ?? path) === origin))?.path;
}

/** What stands behind the name of a candidate. */
export function candidateNote(one: Compared): string {
  const notes = [percent(one.probability)];
  if (one.agreement !== null) {
    notes.push(`${Math.round(one.agreement * 100)}% agreement`);
  }
  if (one.same.length > 0) {
    notes.push(`${one.same.length} the same`);
  }
  return notes.join(' · ');
}

/** All that is known of a candidate. */
export function candidateTip(one: Compared): string {
  const lines = [one.id, one.reason];
  lines.push(...one.same.map((id) => `the same but for white space: ${id}`));
  if (one.base !== null) {
    lines.push(`against ${one.base}`);
  }
  return lines.join('\n');
}

/** What stands behind the name of one of its files. */
export function candidateFileNote(file: ComparedFile): string {
  const folder = file.path.split('/').slice(0, -1).join('/');
  const lines = [
    file.added > 0 ? `+${file.added}` : '',
    file.removed > 0 ? `−${file.removed}` : '',
  ].filter((part) => part !== '');
  return [
    file.probability === null ? '' : percent(file.probability),
    lines.join(' '),
    file.status === 'modified' ? '' : file.status,
    folder,
  ]
    .filter((note) => note !== '')
    .join(' · ');
}

/** What stands behind the heading. */
export function comparisonNote({ candidates, failed, withTask }: Comparison): string {
  return [
    `${candidates.length} ranked`,
    failed.length > 0 ? `${failed.length} not` : '',
    withTask ? 'with task' : '',
  ]
    .filter((note) => note !== '')
    .join(' · ');
}

/** What separates the first from the second. */
export function comparisonTip({ root, firstAgainstSecond }: Comparison): string {
  const said = firstAgainstSecond?.map((line) => `\n- ${line}`) ?? [];
  return said.length > 0 ? `${root}\nThe first against the second:${said.join('')}` : root;
}

export function applied(id: string, files: number): string {
  return `Diffidence: made the changes of ${id} in ${plural(files, 'file')}. Nothing is saved yet, so that it can be undone.`;
}
