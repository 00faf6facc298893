// Bundles the extension into one file, or with `--tests` each unit test beside it.

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const common = {
  bundle: true,
  platform: 'node',
  // What the oldest VS Code of `engines` runs.
  target: 'node20',
  logLevel: 'warning',
};

if (process.argv.includes('--tests')) {
  // A test that is no longer there must not run.
  const built = new URL('../dist/test/', import.meta.url);
  for (const name of existsSync(built) ? readdirSync(built) : []) {
    rmSync(new URL(name, built));
  }
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
