/** Puts a hunk back to its base, with the edit that the server offers as a code action. */

import * as vscode from 'vscode';
import type { ChangedFile, Hunk } from '../core/changes';

const ABOUT_THIS_HUNK = ['diffidence.ignoreHunk', 'diffidence.stopIgnoringHunk'];
/** A file that was not open is looked at first. */
const PATIENCE = 10_000;
const PAUSE = 100;

/** Returns why it could not be done. The file is left unsaved, so that it can be undone. */
export async function revert(file: ChangedFile, hunk: Hunk): Promise<string | undefined> {
  if (file.status === 'added' || file.status === 'deleted') {
    return `${file.path} is ${file.status === 'deleted' ? 'deleted' : 'new'}: there are no hunks to put back one by one.`;
  }
  const uri = vscode.Uri.parse(file.uri);
  const editor = await vscode.window.showTextDocument(uri, { preserveFocus: true });
  const line = Math.min(hunk.line, editor.document.lineCount - 1);
  const range = new vscode.Range(line, 0, line, 0);
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      uri,
      range,
    );
    // Only if the hunk that stands there now is the one that was meant.
    const isMeant = actions.some(
      ({ command }) =>
        command !== undefined &&
        ABOUT_THIS_HUNK.includes(command.command) &&
        command.arguments?.[1] === hunk.id,
    );
    const edit = actions.find(
      (action) => action.edit !== undefined && action.title === 'Revert hunk to base',
    )?.edit;
    if (isMeant && edit !== undefined) {
      const isDone = await vscode.workspace.applyEdit(edit);
      return isDone ? undefined : 'The edit could not be made.';
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return 'The hunk has changed meanwhile.';
}
