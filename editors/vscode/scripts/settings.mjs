// Writes the settings of the manifest: those of the server from its schema, and the few of the
// extension itself. With `--check` nothing is written, and a manifest that differs is an error.

import { readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('..', import.meta.url);
const manifestFile = new URL('package.json', folder);
const schema = JSON.parse(readFileSync(new URL('../config.schema.json', folder), 'utf8'));
const before = readFileSync(manifestFile, 'utf8');
const manifest = JSON.parse(before);

/** Settings of the extension, which the server does not know. */
const own = {
  'server.path': {
    type: ['string', 'null'],
    default: null,
    scope: 'machine-overridable',
    markdownDescription:
      'Absolute path of the `diffidence` program. If none: the one that comes with the extension, then the one on the `PATH`.',
  },
  decorations: {
    type: 'boolean',
    default: true,
    description: 'Whether scored hunks are shown in the gutter and on the overview ruler.',
  },
};

/** Where the editor's default is another than the server's, and why. */
const otherDefaults = {
  // The status bar shows it.
  workspaceScore: true,
};

/** What a repository must not choose even where it is trusted: a model may send code elsewhere. */
const scopes = { model: 'machine' };

/** Paths: a workspace that is not trusted must not set them. */
const restricted = ['server.path', 'model', 'taskFile'];

const properties = {};
for (const [key, { format: _, description, ...rest }] of Object.entries(schema.properties)) {
  properties[`diffidence.${key}`] = {
    ...rest,
    default: otherDefaults[key] ?? rest.default,
    ...(scopes[key] && { scope: scopes[key] }),
    markdownDescription: description,
  };
}
for (const [key, property] of Object.entries(own)) {
  properties[`diffidence.${key}`] = property;
}
manifest.contributes = {
  ...manifest.contributes,
  configuration: { title: 'Diffidence', properties },
};
manifest.capabilities.untrustedWorkspaces.restrictedConfigurations = restricted.map(
  (key) => `diffidence.${key}`,
);

const after = `${JSON.stringify(manifest, null, 2)}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(manifestFile, after);
} else if (after !== before) {
  console.error('package.json is not what editors/config.schema.json asks for: `npm run settings`');
  process.exit(1);
}
