/** The commands of the palette and the tree. Each asks the server, or shows what it said. */

import path from 'node:path';
import * as vscode from 'vscode';
import type { ChangedFile, Changes, Hunk } from '../core/changes';
import { markdown } from '../core/report';
import { type Place, step } from '../core/steps';
import { chooseBase } from './base';
import type { Candidates } from './candidates';
import type { Papers } from './papers';
import { ask } from './program';
import type { Repositories } from './repositories';
import { revert } from './reverting';
import type {
  CandidateFileNode,
  CandidateNode,
  FileNode,
  HunkNode,
  RepositoryNode,
  ReviewView,
} from './review_view';
import type { Session } from './session';
import { flags } from './settings';

export interface House {
  session: Session;
  repositories: Repositories;
  papers: Papers;
  candidates: Candidates;
  view: ReviewView;
}

export function registerCommands(house: House): vscode.Disposable {
  const { session, repositories, papers, candidates } = house;
  const commands: Record<string, (...args: never[]) => unknown> = {
    'diffidence.rescoreFile': (node?: FileNode) => rescore(house, node),
    'diffidence.describeTask': (node?: RepositoryNode) => describeTask(house, node),
    'diffidence.chooseBase': () => chooseBase(here(repositories)?.root),
    'diffidence.scoreRest': () => repositories.more(),
    'diffidence.nextLowHunk': () => goTo(repositories, 'next'),
    'diffidence.previousLowHunk': () => goTo(repositories, 'previous'),
    'diffidence.copyReport': async () => {
      await vscode.env.clipboard.writeText(markdown(repositories.all()));
      vscode.window.setStatusBarMessage('Diffidence: report copied as Markdown', 4000);
    },
    'diffidence.exportFeedback': () => exportFeedback(session),
    'diffidence.showLog': () => session.log.show(),
    'diffidence.restart': () => session.restart(),
    'diffidence.doctor': () => doctor(house),
    'diffidence.compareCandidates': (file?: vscode.Uri, files?: vscode.Uri[]) =>
      compareCandidates(house, files ?? (file instanceof vscode.Uri ? [file] : [])),
    'diffidence.compareAgain': () => candidates.again(),
    'diffidence.closeComparison': () => candidates.close(),
  };
  /** These take a row of the tree. */
  const ofRows: Record<string, (node: never) => unknown> = {
    'diffidence.openHunk': ({ file, hunk }: HunkNode) => openHunk(house, file, hunk),
    'diffidence.openFile': ({ file }: FileNode) =>
      vscode.window.showTextDocument(vscode.Uri.parse(file.uri)),
    'diffidence.openDiff': ({ file }: FileNode) => openDiff(session, papers, file.uri),
    'diffidence.markCorrect': (node: FileNode | HunkNode) => mark(session, node, 'correct'),
    'diffidence.markWrong': (node: FileNode | HunkNode) => mark(session, node, 'wrong'),
    'diffidence.ignore': ({ file, hunk }: HunkNode) =>
      session.command('diffidence.ignoreHunk', file.uri, hunk.id),
    'diffidence.stopIgnoring': ({ file, hunk }: HunkNode) =>
      session.command('diffidence.stopIgnoringHunk', file.uri, hunk.id),
    'diffidence.openCandidateFile': ({ comparison, one, file }: CandidateFileNode) =>
      candidates.openFile(comparison.root, one, file.path),
    'diffidence.compareWithFirst': ({ comparison, one, file }: CandidateFileNode) =>
      candidates.openBeside(comparison.root, comparison.candidates[0] ?? one, one, file),
    'diffidence.selectCandidate': ({ one }: CandidateNode | CandidateFileNode) =>
      candidates.select(one),
    'diffidence.compareWithSelected': ({ comparison, one, file }: CandidateFileNode) => {
      if (candidates.selected === undefined) {
        throw new Error('No candidate is selected for comparison.');
      }
      return candidates.openBeside(comparison.root, candidates.selected, one, file);
    },
    'diffidence.applyThisCandidate': ({ comparison, one }: CandidateNode) =>
      candidates.apply(comparison.root, one),
    'diffidence.revert': async ({ file, hunk }: HunkNode) => {
      const problem = await revert(file, hunk);
      if (problem !== undefined) {
        vscode.window.showWarningMessage(`Diffidence: ${problem}`);
      }
    },
  };
  for (const [name, run] of Object.entries(ofRows)) {
    commands[name] = (node?: never) => {
      // The row was replaced between the click and now.
      if (node === undefined) {
        throw new Error('The list has changed meanwhile. Try again.');
      }
      return run(node);
    };
  }
  return vscode.Disposable.from(
    ...Object.entries(commands).map(([name, run]) =>
      vscode.commands.registerCommand(name, async (...args: never[]) => {
        try {
          await run(...args);
        } catch (error) {
          const problem = error instanceof Error ? error.message : String(error);
          session.log.warn(`${name}: ${problem}`);
          vscode.window.showErrorMessage(`Diffidence: ${problem}`);
        }
      }),
    ),
  );
}

/** Shows the diff that the server answers with. */
export async function openDiff(session: Session, papers: Papers, uri: string): Promise<void> {
  const answer = await session.command<{ diff: string }>('diffidence.showDiff', uri);
  await papers.show(`${path.posix.basename(vscode.Uri.parse(uri).path)}.diff`, answer.diff);
}

/** The repository of the file in view. */
function here(repositories: Repositories): Changes | undefined {
  return repositories.of(vscode.window.activeTextEditor?.document.uri);
}

async function rescore({ session }: House, node: FileNode | undefined): Promise<void> {
  const uri = node?.file.uri ?? vscode.window.activeTextEditor?.document.uri.toString();
  if (uri === undefined) {
    throw new Error('There is no file in view to score again.');
  }
  // Only of open files can the score be asked for again.
  await vscode.window.showTextDocument(vscode.Uri.parse(uri), { preserveFocus: true });
  await session.command('diffidence.rescore', uri);
}

async function describeTask(house: House, node: RepositoryNode | undefined): Promise<void> {
  const { session, repositories } = house;
  const root = (node?.changes ?? here(repositories))?.root;
  if (root === undefined) {
    throw new Error('There is no git repository in this window.');
  }
  const editor = vscode.window.activeTextEditor;
  const selected = editor?.document.getText(editor.selection).trim().replaceAll(/\s+/g, ' ');
  const before = session.task(root);
  const task = await vscode.window.showInputBox({
    title: `What are the changes in ${path.basename(root)} for?`,
    prompt: 'Scores take it into account. Leave it empty to take it back.',
    placeHolder: 'Such as the title and text of the issue',
    value: before ?? (selected || ''),
  });
  if (task !== undefined) {
    await session.setTask(root, task.trim() || undefined);
  }
}

async function compareCandidates(
  { repositories, candidates, view }: House,
  files: vscode.Uri[],
): Promise<void> {
  const root = (files[0] ? repositories.of(files[0]) : here(repositories))?.root;
  if (root === undefined) {
    throw new Error('There is no git repository in this window.');
  }
  if (await candidates.compare(root, files)) {
    await view.revealComparison();
  }
}

async function goTo(repositories: Repositories, direction: 'next' | 'previous'): Promise<void> {
  const files = repositories.all().flatMap((changes) => changes.files);
  const editor = vscode.window.activeTextEditor;
  const uri = editor && repositories.file(editor.document.uri)?.uri;
  const from: Place | undefined =
    editor && uri !== undefined ? { uri, line: editor.selection.active.line } : undefined;
  const place = step(files, from, direction);
  if (place === undefined) {
    vscode.window.setStatusBarMessage('Diffidence: no low-scoring hunk', 4000);
    return;
  }
  await show(vscode.Uri.parse(place.uri), place.line);
}

async function openHunk({ session, papers }: House, file: ChangedFile, hunk: Hunk): Promise<void> {
  if (file.status === 'deleted') {
    await openDiff(session, papers, file.uri);
  } else {
    await show(vscode.Uri.parse(file.uri), hunk.line);
  }
}

async function show(uri: vscode.Uri, line: number): Promise<void> {
  const document = await vscode.workspace.openTextDocument(uri);
  const at = new vscode.Position(Math.min(line, document.lineCount - 1), 0);
  const editor = await vscode.window.showTextDocument(document, {
    selection: new vscode.Range(at, at),
  });
  const { InCenterIfOutsideViewport } = vscode.TextEditorRevealType;
  editor.revealRange(new vscode.Range(at, at), InCenterIfOutsideViewport);
}

async function mark(
  session: Session,
  node: FileNode | HunkNode,
  label: 'correct' | 'wrong',
): Promise<void> {
  const hunk = node.kind === 'hunk' ? [node.hunk.id] : [];
  await session.command('diffidence.mark', node.file.uri, label, ...hunk);
}

async function exportFeedback(session: Session): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const name = 'diffidence-marks.jsonl';
  const target = await vscode.window.showSaveDialog({
    title: 'Export marks as labelled data',
    filters: { 'JSON lines': ['jsonl'] },
    ...(folder && { defaultUri: vscode.Uri.joinPath(folder, name) }),
  });
  if (target !== undefined) {
    const told = await runProgram(session, ['review', 'export', target.fsPath]);
    vscode.window.showInformationMessage(`Diffidence: ${told.trim()}`);
  }
}

async function doctor({ session, repositories, papers }: House): Promise<void> {
  const folder = here(repositories)?.root ?? vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const args = ['doctor', ...(folder ? ['-C', folder] : []), ...flags()];
  const told = await runProgram(session, args, [0, 2]);
  await papers.show('diffidence doctor.txt', told);
}

/** What the program prints; throws what it complains about. */
async function runProgram(session: Session, args: string[], fine = [0]): Promise<string> {
  if (session.program === undefined) {
    throw new Error('There is no program to run: see the log.');
  }
  const { stdout, stderr, failure, code } = await ask(session.program, args);
  if (failure !== undefined || !fine.includes(code)) {
    throw new Error(failure ? `${session.program} ${failure}` : stderr.trim());
  }
  return stdout;
}
