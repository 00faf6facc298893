/** Which program to run as the server, and whether it fits this extension. Touches no disk. */

import path from 'node:path';

export interface Surroundings {
  /** The setting `diffidence.server.path`. */
  setting: string | undefined;
  /** Folder of the extension. */
  extension: string;
  /** The variable `PATH`. */
  searchPath: string | undefined;
  home: string;
  platform: NodeJS.Platform;
  trusted: boolean;
}

export interface Candidate {
  file: string;
  origin: 'setting' | 'bundled' | 'PATH';
}

/**
 * Where to look, in this order; the first that exists counts. A setting stands alone: if it is
 * wrong, that is to be said, not covered by another program. A workspace that is not trusted gets
 * only the bundled program, since it might have set the path or the setting.
 */
export function candidates(at: Surroundings): Candidate[] {
  const { join, isAbsolute, delimiter } = at.platform === 'win32' ? path.win32 : path.posix;
  const program = at.platform === 'win32' ? 'diffidence.exe' : 'diffidence';
  const bundled: Candidate = { file: join(at.extension, 'server', program), origin: 'bundled' };
  if (!at.trusted) {
    return [bundled];
  }
  const setting = at.setting?.trim();
  if (setting) {
    const file = /^~[\\/]/.test(setting) ? join(at.home, setting.slice(2)) : setting;
    return [{ file, origin: 'setting' }];
  }
  const folders = (at.searchPath ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  return [
    bundled,
    ...folders.map((folder): Candidate => ({ file: join(folder, program), origin: 'PATH' })),
  ];
}

/** What to tell if there is none. */
export function notFound(at: Surroundings): string {
  if (!at.trusted) {
    return 'Diffidence: this package brings no server, and another one is not run in a workspace that is not trusted.';
  }
  if (at.setting?.trim()) {
    return `Diffidence: there is no program at ${at.setting.trim()} (setting diffidence.server.path).`;
  }
  return 'Diffidence: this package brings no server and there is none on the PATH. Install it, or set diffidence.server.path.';
}

/** Why a program that prints `output` for `--version` does not fit; undefined if it does. */
export function misfit(output: string, wanted: string): string | undefined {
  const found = /^diffidence (\d+)\.(\d+)\.(\d+)/.exec(output.trim());
  if (!found) {
    return 'is not Diffidence: it says no version';
  }
  const [major, minor] = wanted.split('.');
  const fits = found[1] === major && (major !== '0' || found[2] === minor);
  const needed = major === '0' ? `${major}.${minor}` : major;
  return fits
    ? undefined
    : `is version ${found[0].slice('diffidence '.length)}; this extension needs ${needed}`;
}
