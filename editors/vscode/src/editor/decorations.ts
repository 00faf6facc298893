/** Scored hunks in the gutter and on the overview ruler, by the colour of their score. */

import * as vscode from 'vscode';
import { type Band, band } from '../core/changes';
import type { Repositories } from './repositories';
import { SECTION, setting } from './settings';

const BANDS: Band[] = ['low', 'middle', 'high'];

export class Decorations implements vscode.Disposable {
  private readonly types: Record<Band, vscode.TextEditorDecorationType>;
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    extension: vscode.ExtensionContext,
    private readonly repositories: Repositories,
  ) {
    const type = (name: Band) =>
      vscode.window.createTextEditorDecorationType({
        gutterIconPath: vscode.Uri.joinPath(extension.extensionUri, 'images', `${name}.svg`),
        gutterIconSize: 'contain',
        overviewRulerColor: new vscode.ThemeColor(`diffidence.${name}Score`),
        overviewRulerLane: vscode.OverviewRulerLane.Center,
      });
    this.types = { low: type('low'), middle: type('middle'), high: type('high') };
    this.subscriptions = [
      ...Object.values(this.types),
      repositories.onDidChange(() => this.update()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.update()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration(`${SECTION}.decorations`)) {
          this.update();
        }
      }),
    ];
    this.update();
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private update(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      this.decorate(editor);
    }
  }

  private decorate(editor: vscode.TextEditor): void {
    const { uri } = editor.document;
    const isOn = uri.scheme === 'file' && setting<boolean>('decorations') === true;
    const hunks = (isOn ? this.repositories.file(uri)?.hunks : undefined) ?? [];
    for (const name of BANDS) {
      const ranges = hunks
        .filter((hunk) => band(hunk) === name)
        .map((hunk) => new vscode.Range(hunk.line, 0, Math.max(hunk.line, hunk.endLine), 0));
      editor.setDecorations(this.types[name], ranges);
    }
  }
}
