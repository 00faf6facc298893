/**
 * The last step of newcomer.py in VS Code: a folder and a changed file are opened; prints the seconds
 * until the lens shows a score. Usage: node newcomer.mjs EXTENSIONS-FOLDER REPOSITORY
 */

import { join } from 'node:path';
import { eventually, Stage } from '../tests/vscode/stage.mjs';

const PATIENCE = 300_000;
const [extensions, repository] = process.argv.slice(2);
const stage = await Stage.open({ extensions });
try {
  const begin = performance.now();
  await stage.show(repository);
  await stage.edit(join(repository, 'shop/prices.py'));
  const scored = ([lens]) => /\d+% likely correct/.test(lens ?? '');
  const [lens] = await eventually('lens', () => stage.texts('.codelens-decoration'), scored, PATIENCE);
  console.log(`${lens}\n${((performance.now() - begin) / 1000).toFixed(2)}`);
} finally {
  await stage.close();
}
