/** The entry in the status bar and the language status: what is scored, and what is going on. */

import * as vscode from 'vscode';
import { countToCheck } from '../core/changes';
import { percent, plural, statusText, terms } from '../core/words';
import type { Repositories } from './repositories';
import { VIEW } from './review_view';
import type { Session, State } from './session';

const LABELS: Record<State['kind'], string> = {
  starting: 'starting',
  loading: 'loading the model',
  scoring: 'scoring',
  idle: 'ready',
  degraded: 'cannot score',
  off: 'turned off',
  restarting: 'restarting',
  stopped: 'stopped',
};

export class StatusDisplay implements vscode.Disposable {
  private readonly bar = vscode.window.createStatusBarItem(
    'diffidence.score',
    vscode.StatusBarAlignment.Left,
  );
  private readonly language = vscode.languages.createLanguageStatusItem('diffidence.status', {
    scheme: 'file',
  });
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly session: Session,
    private readonly repositories: Repositories,
  ) {
    this.bar.name = 'Diffidence';
    this.language.name = 'Diffidence';
    this.subscriptions = [
      this.bar,
      this.language,
      session.onDidChangeState(() => this.update()),
      repositories.onDidChange(() => this.update()),
      vscode.window.onDidChangeActiveTextEditor(() => this.update()),
    ];
    this.update();
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private update(): void {
    const { kind, message } = this.session.state;
    this.updateLanguage(kind, message);
    const isBroken = kind === 'stopped' || kind === 'degraded';
    const changes = this.repositories.of(vscode.window.activeTextEditor?.document.uri);
    const probability = changes && this.repositories.probability(changes.root);
    const icon = isBroken ? 'warning' : isBusy(kind) ? 'loading~spin' : 'law';
    const isTold = isBroken || kind === 'restarting' || kind === 'off' || changes === undefined;
    const text = isTold ? LABELS[kind] : statusText(changes, probability);
    this.bar.text = `$(${icon}) ${text}`;
    this.bar.accessibilityInformation = { label: `Diffidence: ${text}` };
    this.bar.command = kind === 'stopped' ? 'diffidence.restart' : `${VIEW}.focus`;
    this.bar.backgroundColor = isBroken
      ? new vscode.ThemeColor('statusBarItem.warningBackground')
      : undefined;
    this.bar.tooltip = this.tooltip(`${LABELS[kind]}${message ? `: ${message}` : ''}`);
    // Nothing to say about a window without a repository, unless something is wrong.
    if (changes !== undefined || isBroken || kind === 'restarting') {
      this.bar.show();
    } else {
      this.bar.hide();
    }
  }

  private updateLanguage(kind: State['kind'], message: string): void {
    this.language.text = `Diffidence: ${LABELS[kind]}`;
    this.language.detail = message;
    this.language.busy = isBusy(kind);
    this.language.severity =
      kind === 'stopped'
        ? vscode.LanguageStatusSeverity.Error
        : kind === 'degraded'
          ? vscode.LanguageStatusSeverity.Warning
          : vscode.LanguageStatusSeverity.Information;
    this.language.command =
      kind === 'stopped'
        ? { command: 'diffidence.restart', title: 'Restart' }
        : { command: 'diffidence.showLog', title: 'Show Log' };
  }

  private tooltip(state: string): vscode.MarkdownString {
    const text = new vscode.MarkdownString();
    text.appendMarkdown('**Diffidence** ').appendText(`(${state})`);
    for (const changes of this.repositories.all()) {
      const probability = this.repositories.probability(changes.root);
      const score = probability === undefined ? '' : `${percent(probability)} likely correct, `;
      const low = countToCheck(changes.files);
      text
        .appendMarkdown('\n\n')
        .appendText(
          `${changes.root}: ${score}${plural(changes.files.length, 'changed file')}, ` +
            `${plural(low, 'hunk')} to check, ${terms(changes)}`,
        );
    }
    return text;
  }
}

function isBusy(kind: State['kind']): boolean {
  return ['starting', 'loading', 'scoring', 'restarting'].includes(kind);
}
