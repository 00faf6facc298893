/**
 * Candidate patches: lets the user choose some, has the server rank them, shows and applies them.
 *
 * One comparison at a time. It stands as it was made until it is made again or closed.
 */

import path from 'node:path';
import * as vscode from 'vscode';
import {
  applied,
  type Choices,
  type Compared,
  type ComparedFile,
  type Comparison,
  type FileTexts,
  namesApart,
  type Source,
  samePath,
  shortName,
} from '../core/candidates';
import { plural } from '../core/words';
import type { Papers } from './papers';
import type { Session } from './session';

interface Choice extends vscode.QuickPickItem {
  source?: Source;
}

export class Candidates implements vscode.Disposable {
  comparison: Comparison | undefined;
  /** The one of `comparison` that others are to be shown beside. */
  selected: Compared | undefined;
  private sources: Source[] = [];
  private readonly changed = new vscode.EventEmitter<void>();

  readonly onDidChange = this.changed.event;

  constructor(
    private readonly session: Session,
    private readonly papers: Papers,
  ) {}

  dispose(): void {
    this.changed.dispose();
  }

  /** Compares what the user chooses; `given` patch files are chosen already. */
  async compare(root: string, given: vscode.Uri[]): Promise<boolean> {
    const patches = given.map((uri): Source => ({ kind: 'patch', path: uri.fsPath }));
    const sources = patches.length > 1 ? patches : await this.choose(root, patches);
    return sources !== undefined && sources.length > 0 && this.rank(root, sources);
  }

  /** Compares the same again. */
  async again(): Promise<void> {
    if (this.comparison !== undefined) {
      await this.rank(this.comparison.root, this.sources);
    }
  }

  close(): void {
    this.show(undefined);
  }

  /** Shows a file of a candidate beside what it is a change of. */
  async openFile(root: string, one: Compared, file: string): Promise<void> {
    const params = { root, candidate: one.candidate, path: file };
    const texts = await this.session.request<FileTexts>('diffidence/candidateFile', params);
    const name = shortName(one.id, one.candidate);
    if (texts.reason !== undefined) {
      this.session.log.info(`${one.id}: ${texts.reason}`);
      await this.papers.show(`${name}/${file}.diff`, texts.diff);
      return;
    }
    const base = texts.base ?? 'nothing';
    const before = this.papers.put(`${base}/${file}`, texts.before ?? '');
    const after = this.papers.put(`${name}/${file}`, texts.after ?? '');
    const title = `${path.posix.basename(file)} (${base} ↔ ${name})`;
    await vscode.commands.executeCommand('vscode.diff', before, after, title);
  }

  /** Keeps a candidate, for others to be shown beside it. */
  select(one: Compared): void {
    this.selected = one;
    this.changed.fire();
  }

  /** Shows a file of a candidate beside the same file of `other`, or its base if that has none. */
  async openBeside(
    root: string,
    other: Compared,
    one: Compared,
    file: ComparedFile,
  ): Promise<void> {
    const [left, right] = namesApart(other, one);
    const otherPath = samePath(other, file);
    if (otherPath === undefined) {
      await this.openFile(root, one, file.path);
      const told = `Diffidence: ${left} does not change ${file.path}: shown beside the base`;
      vscode.window.setStatusBarMessage(told, 6000);
      return;
    }
    const text = async ({ id, candidate }: Compared, name: string, place: string) => {
      const params = { root, candidate, path: place };
      const texts = await this.session.request<FileTexts>('diffidence/candidateFile', params);
      if (texts.reason !== undefined) {
        throw new Error(`${id}: ${place}: ${texts.reason}`);
      }
      // A full path may be the name, and a URI without a host cannot begin with two slashes.
      return this.papers.put(`${name.replace(/^[\\/]+/, '')}/${place}`, texts.after ?? '');
    };
    const [before, after] = await Promise.all([
      text(other, left, otherPath),
      text(one, right, file.path),
    ]);
    const title = `${path.posix.basename(file.path)} (${left} ↔ ${right})`;
    await vscode.commands.executeCommand('vscode.diff', before, after, title);
  }

  /** Has the server make the changes of a candidate. Rejects with the reason if it cannot. */
  async apply(root: string, one: Compared): Promise<void> {
    const params = { root, candidate: one.candidate, digest: one.digest };
    const { files } = await this.session.request<{ files: number }>(
      'diffidence/applyCandidate',
      params,
    );
    const told = applied(shortName(one.id, one.candidate), files);
    const choice = await vscode.window.showInformationMessage(told, 'Save All');
    if (choice !== undefined) {
      await vscode.workspace.saveAll(false);
    }
  }

  private async rank(root: string, sources: Source[]): Promise<boolean> {
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: `Diffidence: comparing ${plural(sources.length, 'candidate')}`,
      cancellable: true,
    };
    const comparison = await vscode.window.withProgress(options, async (_, token) => {
      const params = { root, candidates: sources };
      try {
        return await this.session.request<Comparison>('diffidence/compare', params, token);
      } catch (error) {
        if (token.isCancellationRequested) {
          return undefined;
        }
        throw error;
      }
    });
    if (comparison !== undefined) {
      this.sources = sources;
      this.show(comparison);
    }
    return comparison !== undefined;
  }

  private show(comparison: Comparison | undefined): void {
    this.comparison = comparison;
    this.selected = undefined;
    this.changed.fire();
  }

  private async choose(root: string, patches: Source[]): Promise<Source[] | undefined> {
    const { branches, worktrees } = await this.session.request<Choices>('diffidence/candidates', {
      root,
    });
    const item = (source: Source, label: string, icon: string): Choice => ({
      label,
      source,
      iconPath: new vscode.ThemeIcon(icon),
    });
    const group = (label: string, items: Choice[]): Choice[] =>
      items.length > 0 ? [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items] : [];
    const files: Choice = { label: 'Patch files…', iconPath: new vscode.ThemeIcon('diff') };
    const given = patches.map((source): Choice => {
      const { path: place } = source as { path: string };
      const known = item(source, path.basename(place), 'diff');
      return { ...known, description: path.dirname(place), picked: true };
    });
    const choices = [
      ...given,
      files,
      ...group(
        'branches',
        branches.map((name) => item({ kind: 'branch', name }, name, 'git-branch')),
      ),
      ...group('work trees', [
        {
          ...item({ kind: 'worktree', path: root }, path.basename(root), 'folder-opened'),
          description: 'what is changed here now',
        },
        ...worktrees.map((place) => ({
          ...item({ kind: 'worktree', path: place }, path.basename(place), 'folder'),
          description: path.dirname(place),
        })),
      ]),
    ];
    const picked = await vscode.window.showQuickPick(choices, {
      title: 'Diffidence: compare candidates',
      placeHolder: 'Choose what several agents, or people, made of one task',
      canPickMany: true,
    });
    if (picked === undefined) {
      return undefined;
    }
    const sources = picked.flatMap(({ source }) => source ?? []);
    return picked.includes(files) ? [...sources, ...(await chooseFiles(root))] : sources;
  }
}

async function chooseFiles(root: string): Promise<Source[]> {
  const files = await vscode.window.showOpenDialog({
    title: 'Patch files to compare',
    canSelectMany: true,
    defaultUri: vscode.Uri.file(root),
    filters: { 'Unified diffs': ['patch', 'diff'], 'All files': ['*'] },
  });
  return (files ?? []).map((uri): Source => ({ kind: 'patch', path: uri.fsPath }));
}
