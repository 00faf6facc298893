/** Scores and counts as the server words them, and the few sentences of the views. */

import { type ChangedFile, type Changes, countToCheck, type Hunk, toCheck } from './changes';

/** As the server writes a probability: never 0% or 100% unless it is exactly that. */
export function percent(probability: number): string {
  let whole = Math.round(probability * 100);
  if (probability < 1) {
    whole = Math.min(whole, 99);
  }
  if (probability > 0) {
    whole = Math.max(whole, 1);
  }
  return `${whole}%`;
}

export function plural(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}

/** What stands behind the name of a file. */
export function fileNote(file: ChangedFile): string {
  switch (file.state) {
    case 'waiting':
      return 'scoring…';
    case 'postponed':
      return 'not scored yet';
    case 'abstained':
      return `cannot judge${because(file.reason)}`;
    case 'skipped':
      return `not scored${because(file.reason)}`;
    case 'failed':
      return `cannot score${because(file.reason)}`;
    case 'scored': {
      const score = file.probability === undefined ? '' : percent(file.probability);
      const low = file.hunks.filter(toCheck).length;
      const ignored = file.hunks.filter((hunk) => hunk.ignored).length;
      const notes = [
        score,
        low > 0 ? `${low} to check` : '',
        ignored > 0 ? `${ignored} ignored` : '',
        file.status === 'modified' ? '' : (file.status ?? ''),
      ];
      return notes.filter((note) => note !== '').join(' · ');
    }
  }
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`;
}

/** What stands behind the first changed line of a hunk. */
export function hunkNote(hunk: Hunk): string {
  const lines = [
    hunk.added > 0 ? `+${hunk.added}` : '',
    hunk.removed > 0 ? `−${hunk.removed}` : '',
  ].filter((part) => part !== '');
  const ignored = hunk.ignored ? ' · ignored' : '';
  return `line ${hunk.line + 1} · ${lines.join(' ')}${ignored}`;
}

/** What the scores of a repository are measured with. */
export function terms(changes: Changes): string {
  return `against ${changes.base}${changes.withTask ? ' · with task' : ''}`;
}

/** What is still to come, for the line above the tree; undefined if nothing is. */
export function progress(all: Changes[]): string | undefined {
  const sum = (count: (changes: Changes) => number) =>
    all.reduce((total, changes) => total + count(changes), 0);
  const waiting = sum((changes) => changes.waiting);
  const postponed = sum((changes) => changes.postponed);
  if (waiting > 0) {
    const scored = sum((changes) => changes.scored);
    return `Scoring: ${scored} of ${plural(scored + waiting, 'file')} done`;
  }
  return postponed > 0 ? `${plural(postponed, 'file')} not scored yet` : undefined;
}

/** The text of the status bar. `probability` is that of all changes as one. */
export function statusText(changes: Changes | undefined, probability: number | undefined): string {
  if (changes === undefined) {
    return 'Diffidence';
  }
  if (changes.files.length === 0) {
    return 'no changes';
  }
  const low = countToCheck(changes.files);
  const score = probability === undefined ? [] : [percent(probability)];
  if (changes.scored === 0 && score.length === 0) {
    return changes.complete ? 'nothing scored' : 'scoring…';
  }
  return [...score, low > 0 ? `${low} to check` : 'nothing low'].join(' · ');
}
