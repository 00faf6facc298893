/** Lets the user choose what changes are compared with. */

import * as vscode from 'vscode';
import { SECTION, setting } from './settings';

interface GitRef {
  name?: string;
}
interface GitRepository {
  getBranches(query: { remote: boolean }): Promise<GitRef[]>;
}
interface GitApi {
  getRepository(uri: vscode.Uri): GitRepository | null;
}

interface Choice extends vscode.QuickPickItem {
  base: string;
}

export async function chooseBase(root: string | undefined): Promise<void> {
  const now = setting<string>('base') ?? 'head';
  const fixed: Choice[] = [
    { base: 'head', label: 'HEAD', description: 'the last commit' },
    { base: 'index', label: 'Index', description: 'what is staged' },
  ];
  const branches = (await branchNames(root)).flatMap((name): Choice[] => [
    { base: `merge-base:${name}`, label: name, description: 'where the branch began' },
    { base: name, label: name, description: 'its last commit' },
  ]);
  const choices = [...fixed, ...branches];
  const base = await pick(choices, now);
  if (base === undefined || base === now) {
    return;
  }
  const target = vscode.workspace.workspaceFolders
    ? vscode.ConfigurationTarget.Workspace
    : vscode.ConfigurationTarget.Global;
  await vscode.workspace.getConfiguration(SECTION).update('base', base, target);
}

/** One of the choices, or whatever was typed. */
function pick(choices: Choice[], now: string): Promise<string | undefined> {
  const list = vscode.window.createQuickPick<Choice>();
  list.title = 'Diffidence: compare changes with';
  list.placeholder = `Now: ${now}. Choose, or type a revision that git understands`;
  list.matchOnDescription = true;
  list.items = choices;
  list.onDidChangeValue((value) => {
    const typed = value.trim();
    const other: Choice = {
      base: typed,
      label: typed,
      description: 'a revision',
      alwaysShow: true,
    };
    list.items = typed === '' ? choices : [...choices, other];
  });
  return new Promise((resolve) => {
    list.onDidAccept(() => {
      // Enter may come before what was typed is in the list.
      resolve(list.selectedItems[0]?.base ?? (list.value.trim() || undefined));
      list.hide();
    });
    list.onDidHide(() => {
      resolve(undefined);
      list.dispose();
    });
    list.show();
  });
}

async function branchNames(root: string | undefined): Promise<string[]> {
  const git = vscode.extensions.getExtension<{ getAPI(version: 1): GitApi }>('vscode.git');
  if (git === undefined || root === undefined) {
    return [];
  }
  try {
    const api = (await git.activate()).getAPI(1);
    const repository = api.getRepository(vscode.Uri.file(root));
    const branches = (await repository?.getBranches({ remote: true })) ?? [];
    return branches.flatMap((branch) => branch.name ?? []);
  } catch {
    // Git may be turned off in this window; a revision can be typed all the same.
    return [];
  }
}
