/**
 * The Patch review view: candidates that were compared, best first; repositories if there are
 * several, files, hunks, lowest score first.
 */

import path from 'node:path';
import * as vscode from 'vscode';
import {
  type Compared,
  type ComparedFile,
  type Comparison,
  candidateFileNote,
  candidateNote,
  candidateTip,
  comparisonNote,
  comparisonTip,
  type Refused,
  shortName,
} from '../core/candidates';
import {
  band,
  type ChangedFile,
  type Changes,
  countToCheck,
  filesByScore,
  type Hunk,
  hunksByScore,
} from '../core/changes';
import { fileNote, hunkNote, percent, plural, progress, terms } from '../core/words';
import type { Candidates } from './candidates';
import type { Repositories } from './repositories';
import type { Session } from './session';

export const VIEW = 'diffidence.review';
const SETTLE_MS = 1000;

export type Node = RepositoryNode | FileNode | HunkNode | ComparisonNode | ComparedNode;
/** A candidate, or a part of one. */
export type ComparedNode = CandidateNode | RefusedNode | CandidateFileNode | SkippedNode;
export interface ComparisonNode {
  kind: 'comparison';
  comparison: Comparison;
}
export interface CandidateNode {
  kind: 'candidate';
  comparison: Comparison;
  one: Compared;
}
export interface RefusedNode {
  kind: 'refused';
  comparison: Comparison;
  refused: Refused;
}
export interface CandidateFileNode {
  kind: 'candidateFile';
  comparison: Comparison;
  one: Compared;
  file: ComparedFile;
}
export interface SkippedNode {
  kind: 'skipped';
  comparison: Comparison;
  one: Compared;
  skipped: Compared['skipped'][number];
}
export interface RepositoryNode {
  kind: 'repository';
  changes: Changes;
}
export interface FileNode {
  kind: 'file';
  changes: Changes;
  file: ChangedFile;
}
export interface HunkNode {
  kind: 'hunk';
  changes: Changes;
  file: ChangedFile;
  hunk: Hunk;
}

export class ReviewView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  private readonly view: vscode.TreeView<Node>;
  private readonly subscriptions: vscode.Disposable[];

  /** What the tree shows, to leave it alone while nothing is new: rows under a mouse stay. */
  private shown = '';
  /** Runs while the view opens. */
  private opening: NodeJS.Timeout | undefined;

  readonly onDidChangeTreeData = this.changed.event;

  constructor(
    private readonly session: Session,
    private readonly repositories: Repositories,
    private readonly candidates: Candidates,
  ) {
    this.view = vscode.window.createTreeView(VIEW, {
      treeDataProvider: this,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.view,
      this.changed,
      repositories.onDidChange(() => this.update()),
      candidates.onDidChange(() => this.update()),
      session.onDidChangeState(() => this.update()),
      this.view.onDidChangeVisibility(({ visible }) => visible && this.showAgain()),
    ];
    this.update();
  }

  dispose(): void {
    clearTimeout(this.opening);
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  /**
   * Shows the tree once more when it is quiet: told of a change while it fetches the children of a
   * row, which it does as the view opens, VS Code may show that row without any.
   */
  private showAgain(): void {
    clearTimeout(this.opening);
    this.opening = setTimeout(() => {
      this.opening = undefined;
      this.changed.fire(undefined);
    }, SETTLE_MS);
  }

  /** Shows the view with the file of `uri` selected, if it is changed. */
  async reveal(uri: vscode.Uri): Promise<void> {
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    const node = this.files().find((node) => vscode.Uri.parse(node.file.uri).fsPath === uri.fsPath);
    if (node !== undefined) {
      await this.view.reveal(node, { select: true, focus: true, expand: true });
    }
  }

  /** Shows the view with the comparison on top. */
  async revealComparison(): Promise<void> {
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    const [node] = this.comparisonNodes();
    if (node !== undefined) {
      await this.view.reveal(node, { select: true, focus: false, expand: true });
    }
  }

  getChildren(node?: Node): Node[] {
    switch (node?.kind) {
      case undefined: {
        const repositories = this.repositoryNodes();
        const changes = repositories.length > 1 ? repositories : repositories.flatMap(fileNodes);
        return [...this.comparisonNodes(), ...changes];
      }
      case 'comparison':
        return comparedNodes(node);
      case 'candidate':
        return partNodes(node);
      case 'repository':
        return fileNodes(node);
      case 'file':
        return hunksByScore(node.file.hunks).map((hunk) => ({ ...node, kind: 'hunk', hunk }));
      default:
        return [];
    }
  }

  getParent(node: Node): Node | undefined {
    switch (node.kind) {
      case 'repository':
        return undefined;
      case 'file':
        return this.repositoryNodes().length > 1
          ? { kind: 'repository', changes: node.changes }
          : undefined;
      case 'hunk':
        return { kind: 'file', changes: node.changes, file: node.file };
      case 'comparison':
        return undefined;
      case 'candidate':
      case 'refused':
        return { kind: 'comparison', comparison: node.comparison };
      case 'candidateFile':
      case 'skipped':
        return { kind: 'candidate', comparison: node.comparison, one: node.one };
    }
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.kind) {
      case 'repository':
        return repositoryItem(node, this.repositories.probability(node.changes.root));
      case 'file':
        return fileItem(node);
      case 'hunk':
        return hunkItem(node);
      case 'comparison':
        return comparisonItem(node);
      case 'candidate':
        return candidateItem(node, this.candidates.selected);
      case 'refused':
        return refusedItem(node);
      case 'candidateFile':
        return candidateFileItem(node, this.candidates.selected);
      case 'skipped':
        return skippedItem(node);
    }
  }

  private comparisonNodes(): ComparisonNode[] {
    const { comparison } = this.candidates;
    return comparison === undefined ? [] : [{ kind: 'comparison', comparison }];
  }

  private repositoryNodes(): RepositoryNode[] {
    return this.repositories.all().map((changes) => ({ kind: 'repository', changes }));
  }

  private files(): FileNode[] {
    return this.repositoryNodes().flatMap(fileNodes);
  }

  private update(): void {
    const all = this.repositories.all();
    const low = all.reduce((sum, changes) => sum + countToCheck(changes.files), 0);
    this.view.badge =
      low > 0 ? { value: low, tooltip: `${plural(low, 'hunk')} to check` } : undefined;
    const isRunning = this.session.state.kind !== 'stopped' && this.session.state.kind !== 'off';
    const problems = isRunning && all.length === 0 ? this.repositories.problems() : [];
    // With several repositories each tells its own; an empty view has a text of its own.
    const only = all.length === 1 && all[0]?.files.length ? all[0] : undefined;
    const common = only ? [sentence(terms(only))] : [];
    this.view.message = [progress(all) ?? [], common, problems].flat().join(' · ');
    const isPutOff = all.some((changes) => changes.postponed > 0);
    void vscode.commands.executeCommand('setContext', 'diffidence.postponed', isPutOff);
    void vscode.commands.executeCommand('setContext', 'diffidence.view', this.empty(all));
    const scores = all.map(({ root }) => this.repositories.probability(root));
    const { comparison, selected } = this.candidates;
    void vscode.commands.executeCommand('setContext', 'diffidence.comparison', !!comparison);
    const shown = JSON.stringify([all, scores, comparison, selected?.candidate]);
    if (shown !== this.shown) {
      this.shown = shown;
      this.changed.fire(undefined);
      if (this.opening !== undefined) {
        this.showAgain();
      }
    }
  }

  /** Why the view is empty, for the text that stands there then. */
  private empty(all: Changes[]): string {
    const { kind } = this.session.state;
    if (kind === 'off' || kind === 'stopped') {
      return kind;
    }
    if (all.length > 0) {
      return 'clean';
    }
    return this.repositories.complete ? 'nothing' : 'starting';
  }
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function fileNodes({ changes }: RepositoryNode): FileNode[] {
  return filesByScore(changes.files).map((file) => ({ kind: 'file', changes, file }));
}

function repositoryItem({ changes }: RepositoryNode, probability?: number): vscode.TreeItem {
  const { Expanded } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(path.basename(changes.root), Expanded);
  item.id = changes.root;
  const low = countToCheck(changes.files);
  const notes = [
    probability === undefined ? '' : percent(probability),
    changes.files.length === 0 ? 'no changes' : low > 0 ? `${low} to check` : '',
    terms(changes),
  ];
  item.description = notes.filter((note) => note !== '').join(' · ');
  item.iconPath = new vscode.ThemeIcon('repo');
  item.tooltip = changes.root;
  item.contextValue = 'repository';
  return item;
}

function fileItem({ changes, file }: FileNode): vscode.TreeItem {
  const { None, Expanded, Collapsed } = vscode.TreeItemCollapsibleState;
  const low = countToCheck([file]);
  const isNotable = low > 0 || file.hunks.some((hunk) => hunk.ignored);
  const state = file.hunks.length === 0 ? None : isNotable ? Expanded : Collapsed;
  const item = new vscode.TreeItem(path.posix.basename(file.path), state);
  // VS Code keeps what is folded by id; a file that turns out to be notable unfolds.
  item.id = `${changes.root}\n${file.path}\n${isNotable ? 'notable' : ''}`;
  item.resourceUri = vscode.Uri.parse(file.uri);
  item.iconPath = vscode.ThemeIcon.File;
  item.description = fileNote(file);
  const renamed = file.oldPath === undefined ? '' : `\nfrom ${file.oldPath}`;
  item.tooltip = `${file.path}${renamed}\n${fileNote(file)}`;
  item.contextValue = `file.${file.state}`;
  if (file.hunks.length === 0 && file.status !== 'deleted') {
    item.command = { command: 'vscode.open', title: 'Open', arguments: [item.resourceUri] };
  }
  return item;
}

function hunkItem({ changes, file, hunk }: HunkNode): vscode.TreeItem {
  const missing = file.state === 'abstained' ? '–' : '…';
  const score = hunk.probability === undefined ? missing : percent(hunk.probability);
  const item = new vscode.TreeItem(`${score}  ${hunk.preview || '(blank lines)'}`);
  item.id = `${changes.root}\n${file.path}\n${hunk.id}\n${hunk.line}`;
  item.description = hunkNote(hunk);
  item.iconPath = hunkIcon(hunk);
  item.contextValue = hunk.ignored ? 'hunk.ignored' : 'hunk';
  item.command = { command: 'diffidence.openHunk', title: 'Open', arguments: [{ file, hunk }] };
  item.tooltip =
    hunk.probability === undefined
      ? `${file.path}:${hunk.line + 1}`
      : `${score} likely correct\n${file.path}:${hunk.line + 1}`;
  return item;
}

function hunkIcon(hunk: Hunk): vscode.ThemeIcon {
  if (hunk.ignored) {
    return new vscode.ThemeIcon('eye-closed');
  }
  const colour = band(hunk);
  return colour === undefined
    ? new vscode.ThemeIcon('circle-outline')
    : new vscode.ThemeIcon('circle-filled', new vscode.ThemeColor(`diffidence.${colour}Score`));
}

function comparedNodes({ comparison }: ComparisonNode): Node[] {
  return [
    ...comparison.candidates.map((one): Node => ({ kind: 'candidate', comparison, one })),
    ...comparison.failed.map((refused): Node => ({ kind: 'refused', comparison, refused })),
  ];
}

function partNodes({ comparison, one }: CandidateNode): Node[] {
  return [
    ...one.files.map((file): Node => ({ kind: 'candidateFile', comparison, one, file })),
    ...one.skipped.map((skipped): Node => ({ kind: 'skipped', comparison, one, skipped })),
  ];
}

function comparisonItem({ comparison }: ComparisonNode): vscode.TreeItem {
  const { Expanded } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem('Candidates', Expanded);
  item.id = 'candidates';
  item.description = comparisonNote(comparison);
  item.tooltip = comparisonTip(comparison);
  item.iconPath = new vscode.ThemeIcon('versions');
  item.contextValue = 'comparison';
  return item;
}

const KIND_ICONS = { patch: 'diff', branch: 'git-branch', worktree: 'folder' };

/** Tells the menus what a row of a candidate, or of one of its files, can be shown beside. */
function context(row: CandidateNode | CandidateFileNode, selected: Compared | undefined): string {
  const { kind, comparison, one } = row;
  const isFirst = comparison.candidates[0] === one;
  const beside = selected === undefined ? '' : selected === one ? '.selected' : '.other';
  return `${kind}${isFirst ? '.first' : ''}${beside}`;
}

function candidateItem(row: CandidateNode, selected: Compared | undefined): vscode.TreeItem {
  const { comparison, one } = row;
  const { Collapsed } = vscode.TreeItemCollapsibleState;
  const place = comparison.candidates.indexOf(one) + 1;
  const item = new vscode.TreeItem(`${place}. ${shortName(one.id, one.candidate)}`, Collapsed);
  item.id = `candidates\n${JSON.stringify(one.candidate)}`;
  const note = candidateNote(one);
  item.description = one === selected ? `${note} · selected` : note;
  item.tooltip = candidateTip(one);
  item.iconPath = new vscode.ThemeIcon(KIND_ICONS[one.candidate.kind]);
  item.contextValue = context(row, selected);
  return item;
}

function refusedItem({ refused }: RefusedNode): vscode.TreeItem {
  const item = new vscode.TreeItem(shortName(refused.id, refused.candidate));
  item.description = refused.reason;
  item.tooltip = `${refused.id}\nnot ranked: ${refused.reason}`;
  item.iconPath = new vscode.ThemeIcon('warning');
  item.contextValue = 'refused';
  return item;
}

function candidateFileItem(
  node: CandidateFileNode,
  selected: Compared | undefined,
): vscode.TreeItem {
  const { one, file } = node;
  const item = new vscode.TreeItem(path.posix.basename(file.path));
  item.id = `candidates\n${JSON.stringify(one.candidate)}\n${file.path}`;
  // For the icon of its language; a URI of a file would also show what git says of the work tree.
  item.resourceUri = vscode.Uri.from({ scheme: 'diffidence', path: `/${file.path}` });
  item.iconPath = vscode.ThemeIcon.File;
  item.description = candidateFileNote(file);
  const renamed = file.oldPath === undefined ? '' : `\nfrom ${file.oldPath}`;
  item.tooltip = `${file.path}${renamed}\n${candidateFileNote(file)}`;
  item.contextValue = context(node, selected);
  item.command = { command: 'diffidence.openCandidateFile', title: 'Open', arguments: [node] };
  return item;
}

function skippedItem({ skipped }: SkippedNode): vscode.TreeItem {
  const item = new vscode.TreeItem(path.posix.basename(skipped.path));
  item.description = `not scored: ${skipped.reason}`;
  item.tooltip = `${skipped.path}\nnot scored: ${skipped.reason}`;
  item.iconPath = new vscode.ThemeIcon('circle-slash');
  item.contextValue = 'skipped';
  return item;
}
