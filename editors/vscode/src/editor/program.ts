/** Finds the server's program on the disk and runs it for short questions. */

import { execFile } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import os from 'node:os';
import * as vscode from 'vscode';
import { version as wanted } from '../../package.json';
import { candidates, misfit, notFound, type Surroundings } from '../core/server';
import { setting } from './settings';

const VERSION_TIMEOUT = 10_000;

/** A sentence for the user. */
export class Unusable extends Error {}

/** The program to run. Throws {@link Unusable} if there is none that fits. */
export async function findProgram(extension: vscode.ExtensionContext): Promise<string> {
  const at: Surroundings = {
    setting: setting<string>('server.path'),
    extension: extension.extensionPath,
    searchPath: process.env.PATH,
    home: os.homedir(),
    platform: process.platform,
    trusted: vscode.workspace.isTrusted,
  };
  for (const { file } of candidates(at)) {
    if (await isProgram(file)) {
      await checkVersion(file);
      return file;
    }
  }
  throw new Unusable(notFound(at));
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

async function checkVersion(file: string): Promise<void> {
  const answer = await ask(file, ['--version'], VERSION_TIMEOUT);
  const problem = answer.failure ?? misfit(answer.stdout, wanted);
  if (problem !== undefined) {
    throw new Unusable(`Diffidence: ${file} ${problem}.`);
  }
}

export interface Answer {
  stdout: string;
  stderr: string;
  /** Why it did not run to its end; an exit code alone is no failure. */
  failure?: string;
  code: number;
}

/** Runs the program to its end. Never rejects. */
export function ask(file: string, args: string[], timeout?: number): Promise<Answer> {
  return new Promise((resolve) => {
    const options = { timeout: timeout ?? 0, maxBuffer: 1 << 26, windowsHide: true };
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve({ stdout, stderr, code: 0 });
      } else if (typeof error.code === 'number') {
        resolve({ stdout, stderr, code: error.code });
      } else {
        const failure = error.killed ? 'does not answer' : `cannot be run: ${error.message}`;
        resolve({ stdout, stderr, failure, code: -1 });
      }
    });
  });
}
