/**
 * The user's settings as the server wants them: its keys alone, none of the extension's own.
 *
 * `model` and `threads` are flags of the server, so a change of them needs another process.
 */

import * as vscode from 'vscode';
import manifest from '../../package.json';

export const SECTION = 'diffidence';

const OWN = ['server.path', 'decorations'];
const FLAGS = ['model', 'threads'];
const KEYS = Object.keys(manifest.contributes.configuration.properties)
  .map((key) => key.slice(SECTION.length + 1))
  .filter((key) => !OWN.includes(key) && !FLAGS.includes(key));

export function setting<T>(key: string): T | undefined {
  return vscode.workspace.getConfiguration(SECTION).get<T | null>(key) ?? undefined;
}

/** The section that the server asks for. Values that are not set are left to the server. */
export function forServer(): Record<string, unknown> {
  const entries = KEYS.map((key) => [key, setting(key)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

export function flags(): string[] {
  return FLAGS.flatMap((key) => {
    const value = setting<string | number>(key);
    return value === undefined ? [] : [`--${key}`, String(value)];
  });
}

export function needsRestart(event: vscode.ConfigurationChangeEvent): boolean {
  return ['server.path', ...FLAGS].some((key) => event.affectsConfiguration(`${SECTION}.${key}`));
}
