/**
 * The VS Code extension of Diffidence: starts the server and shows what it says.
 *
 * All judgement is the server's. Activation only registers things; it waits neither for the server
 * nor for the model.
 */

import * as vscode from 'vscode';
import { Candidates } from './editor/candidates';
import { openDiff, registerCommands } from './editor/commands';
import { Decorations } from './editor/decorations';
import { Papers } from './editor/papers';
import { Repositories } from './editor/repositories';
import { ReviewView } from './editor/review_view';
import { type Interceptor, Session } from './editor/session';
import { needsRestart } from './editor/settings';
import { StatusDisplay } from './editor/status';

/** For tests and bug reports. */
export interface Exports {
  /** How long the activation took. */
  activationMs: number;
  /** The server's process. */
  pid(): number | undefined;
}

let running: Session | undefined;

export function activate(extension: vscode.ExtensionContext): Exports {
  const begin = performance.now();
  const log = vscode.window.createOutputChannel('Diffidence', { log: true });
  const papers = new Papers();
  // A click on the lens leads to the view, and a diff is shown as one.
  const intercept: Interceptor = (command, [uri], next) => {
    if (typeof uri !== 'string') {
      return undefined;
    }
    switch (command) {
      case 'diffidence.showFile':
        return view.reveal(vscode.Uri.parse(uri));
      case 'diffidence.showDiff':
        return openDiff(session, papers, uri);
      default:
        return next();
    }
  };
  const session = new Session(extension, log, intercept);
  running = session;
  const repositories = new Repositories(session);
  const candidates = new Candidates(session, papers);
  const view = new ReviewView(session, repositories, candidates);
  extension.subscriptions.push(
    log,
    papers,
    repositories,
    candidates,
    view,
    new StatusDisplay(session, repositories),
    new Decorations(extension, repositories),
    registerCommands({ session, repositories, papers, candidates, view }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (needsRestart(event)) {
        void session.restart();
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void session.restart()),
  );
  void session.restart();
  const activationMs = performance.now() - begin;
  log.info(`Activated in ${activationMs.toFixed(1)} ms`);
  return { activationMs, pid: () => session.pid };
}

export async function deactivate(): Promise<void> {
  await running?.dispose();
}
