/**
 * What the server says about the changes of a repository: the answer to `diffidence/changes`.
 *
 * The types are the server's words. The functions only choose and order; they judge nothing.
 */

export interface Hunk {
  id: string;
  /** First changed line in the new text, from 0. */
  line: number;
  /** Last changed line; the same as `line` where lines were only removed. */
  endLine: number;
  added: number;
  removed: number;
  /** Missing while the file is not scored. */
  probability?: number;
  low: boolean;
  ignored: boolean;
  /** The first changed line, trimmed. */
  preview: string;
}

export type FileState = 'scored' | 'waiting' | 'postponed' | 'abstained' | 'skipped' | 'failed';

export interface ChangedFile {
  uri: string;
  path: string;
  oldPath?: string;
  /** `added`, `modified`, `deleted` or `renamed`; missing if it was not compared. */
  status?: string;
  state: FileState;
  /** Why it is skipped, what failed, or why the model cannot judge it. */
  reason?: string;
  probability?: number;
  hunks: Hunk[];
}

export interface Changes {
  root: string;
  base: string;
  withTask: boolean;
  /** Nothing waits and nothing is put off. */
  complete: boolean;
  scored: number;
  waiting: number;
  /** Put off until `more` is asked for. */
  postponed: number;
  /** What the model cannot judge. */
  abstained: number;
  skipped: number;
  failed: number;
  files: ChangedFile[];
}

/** Whether the hunk is one to look at. */
export function toCheck(hunk: Hunk): boolean {
  return hunk.low && !hunk.ignored;
}

export function countToCheck(files: ChangedFile[]): number {
  return files.reduce((sum, file) => sum + file.hunks.filter(toCheck).length, 0);
}

/** The lowest score of the file or of one of its hunks that are not ignored. */
export function lowest(file: ChangedFile): number | undefined {
  const scores = file.hunks.filter((hunk) => !hunk.ignored).map((hunk) => hunk.probability);
  const known = [file.probability, ...scores].filter((score) => score !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

/** Lowest score first; without a score last, in the order of their paths. */
export function filesByScore(files: ChangedFile[]): ChangedFile[] {
  return files.toSorted(
    (a, b) =>
      (lowest(a) ?? 2) - (lowest(b) ?? 2) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0),
  );
}

/** Lowest score first, ignored ones last. */
export function hunksByScore(hunks: Hunk[]): Hunk[] {
  const rank = (hunk: Hunk) => (hunk.probability ?? 2) + (hunk.ignored ? 4 : 0);
  return hunks.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line);
}

/** How a scored hunk is coloured. */
export type Band = 'low' | 'middle' | 'high';

/** Low is what the server says is low; the rest is parted where wrong is as likely as correct. */
export function band(hunk: Hunk): Band | undefined {
  if (hunk.probability === undefined || hunk.ignored) {
    return undefined;
  }
  if (hunk.low) {
    return 'low';
  }
  return hunk.probability < 0.5 ? 'middle' : 'high';
}
