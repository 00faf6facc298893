/**
 * The server's answers about all repositories of this window, kept up to date.
 *
 * Repositories are those of the workspace folders and of open files; which folder belongs to which
 * is the server's word. Views show what is here and ask nothing themselves.
 */

import path from 'node:path';
import * as vscode from 'vscode';
import type { ChangedFile, Changes } from '../core/changes';
import type { Session } from './session';

type Question = { root: string } | { textDocument: { uri: string } };

export class Repositories implements vscode.Disposable {
  private readonly known = new Map<string, Changes>();
  /** Probability of all changes of a repository as one. */
  private readonly scores = new Map<string, number>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  /** Roots with a request under way, and whether another must follow. */
  private readonly asking = new Map<string, boolean>();
  /** Workspace folders that there is no answer about, with the reason. */
  private readonly refused = new Map<string, string>();
  private generation = 0;
  private off = false;

  readonly onDidChange = this.changed.event;
  /** Whether the server has answered about every workspace folder since it started. */
  complete = false;

  constructor(private readonly session: Session) {
    this.subscriptions = [
      this.changed,
      session.onDidStart(() => void this.askAll()),
      session.onDidChangeChanges((root) => void this.ask({ root })),
      session.onDidScoreWorkspace(({ root, probability }) => {
        if (probability === null) {
          this.scores.delete(root);
        } else {
          this.scores.set(root, probability);
        }
        this.changed.fire();
      }),
      session.onDidChangeState(({ kind }) => {
        const wasOff = this.off;
        this.off = kind === 'off';
        if (wasOff && !this.off) {
          void this.askAll();
        }
        // Scores that nobody keeps up to date are worse than none.
        if (kind === 'restarting' || kind === 'stopped' || kind === 'starting') {
          this.clear();
        }
      }),
      vscode.workspace.onDidChangeWorkspaceFolders(() => {
        this.clear();
        void this.askAll();
      }),
      vscode.workspace.onDidOpenTextDocument((document) => void this.askAbout(document)),
    ];
  }

  /** In the order of their paths. */
  all(): Changes[] {
    return [...this.known.values()].toSorted((a, b) => (a.root < b.root ? -1 : 1));
  }

  /** The repository of a file; without one, or for a file of none, the only or first one. */
  of(uri: vscode.Uri | undefined): Changes | undefined {
    const all = this.all();
    const holds = (root: string) =>
      uri !== undefined && (uri.fsPath === root || uri.fsPath.startsWith(root + path.sep));
    // The innermost: repositories may lie in each other.
    const own = all.filter((changes) => holds(changes.root));
    return own.toSorted((a, b) => b.root.length - a.root.length)[0] ?? all[0];
  }

  file(uri: vscode.Uri): ChangedFile | undefined {
    const same = (file: ChangedFile) => vscode.Uri.parse(file.uri).fsPath === uri.fsPath;
    return this.all()
      .flatMap((changes) => changes.files)
      .find(same);
  }

  /** Why there is nothing to show about workspace folders. */
  problems(): string[] {
    return [...new Set(this.refused.values())];
  }

  /** Goes on with the files that were put off. */
  async more(): Promise<void> {
    const postponed = this.all().filter((changes) => changes.postponed > 0);
    await Promise.all(
      postponed.map(({ root }) => this.session.request('diffidence/changes', { root, more: true })),
    );
  }

  probability(root: string): number | undefined {
    return this.scores.get(root);
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private clear(): void {
    this.generation += 1;
    this.known.clear();
    this.scores.clear();
    this.asking.clear();
    this.refused.clear();
    this.complete = false;
    this.changed.fire();
  }

  private async askAll(): Promise<void> {
    const generation = this.generation;
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(
      (folder) => folder.uri.scheme === 'file',
    );
    await Promise.all(folders.map((folder) => this.ask({ root: folder.uri.fsPath })));
    await Promise.all(vscode.workspace.textDocuments.map((document) => this.askAbout(document)));
    if (generation === this.generation) {
      this.complete = true;
      this.changed.fire();
    }
  }

  /** An open file may belong to a repository that no workspace folder is in. */
  private async askAbout(document: vscode.TextDocument): Promise<void> {
    const { uri } = document;
    const isKnown = [...this.known.keys()].some((root) => uri.fsPath.startsWith(root + path.sep));
    if (uri.scheme === 'file' && !isKnown && this.session.state.kind !== 'starting') {
      await this.ask({ textDocument: { uri: uri.toString() } });
    }
  }

  /** Asks, and again if the answer changed meanwhile: one request at a time for each place. */
  private async ask(question: Question): Promise<void> {
    const key = 'root' in question ? question.root : question.textDocument.uri;
    if (this.asking.has(key)) {
      this.asking.set(key, true);
      return;
    }
    const generation = this.generation;
    do {
      this.asking.set(key, false);
      try {
        const params = { ...question, watch: true };
        const changes = await this.session.request<Changes>('diffidence/changes', params);
        if (generation !== this.generation) {
          return;
        }
        this.known.set(changes.root, changes);
        this.refused.delete(key);
      } catch (error) {
        if (generation !== this.generation) {
          return;
        }
        // Mostly a place that is in no repository.
        this.session.log.debug(`No changes of ${key}: ${error}`);
        this.known.delete(key);
        if ('root' in question) {
          this.refused.set(key, error instanceof Error ? error.message : String(error));
        }
      }
      this.changed.fire();
    } while (this.asking.get(key) === true);
    this.asking.delete(key);
  }
}
