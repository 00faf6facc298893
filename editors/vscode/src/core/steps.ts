/** From one low-scoring hunk to the next: through the file in view, then through the others. */

import { type ChangedFile, toCheck } from './changes';

export interface Place {
  uri: string;
  line: number;
}

/**
 * The next (or previous) place to check seen from `from`, around the end to the beginning.
 * Files come in the order of their paths, so that the way is the same whatever the scores do.
 */
export function step(
  files: ChangedFile[],
  from: Place | undefined,
  direction: 'next' | 'previous',
): Place | undefined {
  const ordered = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const here = ordered.findIndex((file) => file.uri === from?.uri);
  const places: { at: [number, number]; place: Place }[] = ordered.flatMap((file, index) =>
    file.hunks
      .filter(toCheck)
      .toSorted((a, b) => a.line - b.line)
      .map((hunk) => ({
        at: [index, hunk.line] as [number, number],
        place: { uri: file.uri, line: hunk.line },
      })),
  );
  if (from === undefined || here < 0) {
    return (direction === 'next' ? places.at(0) : places.at(-1))?.place;
  }
  const isAfter = ([file, line]: [number, number]) =>
    file > here || (file === here && line > from.line);
  const isBefore = ([file, line]: [number, number]) =>
    file < here || (file === here && line < from.line);
  const found =
    direction === 'next'
      ? (places.find(({ at }) => isAfter(at)) ?? places.at(0))
      : (places.findLast(({ at }) => isBefore(at)) ?? places.at(-1));
  return found?.place;
}
