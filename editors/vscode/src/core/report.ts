/** The scores as Markdown, to paste into a pull request or a note. */

import { type Changes, countToCheck, filesByScore, hunksByScore, toCheck } from './changes';
import { fileNote, percent, plural, terms } from './words';

export function markdown(all: Changes[]): string {
  const reports = all.filter((changes) => changes.files.length > 0).map(one);
  return reports.length > 0 ? reports.join('\n') : 'Diffidence: no changes to score.\n';
}

function one(changes: Changes): string {
  const low = countToCheck(changes.files);
  const lines = [
    `### Diffidence: ${low > 0 ? `${plural(low, 'hunk')} to check` : 'nothing scores low'}`,
    '',
    `${plural(changes.files.length, 'changed file')} in ${code(name(changes.root))}, ${terms(changes)}.`,
    '',
    '| likely correct | where | |',
    '|---:|---|---|',
  ];
  for (const file of filesByScore(changes.files)) {
    const score = file.state === 'scored' && file.probability !== undefined;
    lines.push(
      `| ${score ? `**${percent(file.probability ?? 0)}**` : ''} | ${code(file.path)} | ${cell(score ? fileNote(file).replace(/^\d+%( · )?/, '') : fileNote(file))} |`,
    );
    for (const hunk of hunksByScore(file.hunks).filter(toCheck)) {
      const probability = hunk.probability === undefined ? '' : percent(hunk.probability);
      const place = `${file.path}:${hunk.line + 1}`;
      lines.push(`| ${probability} | ${code(place)} | ${code(hunk.preview)} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function name(root: string): string {
  return root.split(/[\\/]/).filter(Boolean).at(-1) ?? root;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
}

/** A code span that may itself hold backticks. */
function code(text: string): string {
  const inner = cell(text);
  if (inner === '') {
    return '';
  }
  const longest = Math.max(0, ...[...inner.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  return longest > 0 ? `${fence} ${inner} ${fence}` : `${fence}${inner}${fence}`;
}
