// Bundles the extension into one file, or with `--tests` each unit test beside it.

import { readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const common = {
  bundle: true,
  platform: 'node',
  // What the oldest VS Code of `engines` runs.
  target: 'node20',
  logLevel: 'warning',
};

if (process.argv.includes('--tests')) {
  rmSync('dist/test', { recursive: true, force: true });
  await build({
    ...common,
    entryPoints: readdirSync('test')
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `test/${name}`),
    outdir: 'dist/test',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    sourcemap: 'inline',
  });
} else {
  await build({
    ...common,
    entryPoints: ['src/extension.ts'],
    outfile: 'dist/extension.js',
    format: 'cjs',
    minify: true,
    external: ['vscode'],
  });
}
