/**
 * The running server: one process at a time, started again when it ends by itself.
 *
 * Invariant: every client object has one process and is thrown away with it, so what it showed
 * (lenses, diagnostics) goes when its server goes. Descriptions of tasks outlive a process.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
} from 'vscode-languageclient/node';
import { Crashes } from '../core/crashes';
import { findProgram, Unusable } from './program';
import { flags, forServer, SECTION } from './settings';

/** What the server says it is doing, or what became of it. */
export interface State {
  kind: 'starting' | 'loading' | 'scoring' | 'idle' | 'degraded' | 'off' | 'restarting' | 'stopped';
  message: string;
}

export interface WorkspaceScore {
  root: string;
  probability: number | null;
}

/** Commands of the server that this window carries out itself, with the server's help. */
export type Interceptor = (
  command: string,
  args: unknown[],
  next: () => Promise<unknown>,
) => Promise<unknown> | undefined;

const STOP_TIMEOUT = 2000;

/** Time after which a process that ended is taken for lost, whatever its client has noticed. */
const NOTICE_TIMEOUT = 1000;

/** Logs what goes wrong on the way to the server. What the user must know the session tells. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export class Session implements vscode.Disposable {
  state: State = { kind: 'starting', message: '' };
  /** The program that runs, if one was found. */
  program: string | undefined;

  private client: LanguageClient | undefined;
  private process: ChildProcess | undefined;
  private readonly crashes = new Crashes();
  private readonly tasks = new Map<string, string>();
  private restartTimer: NodeJS.Timeout | undefined;
  /** Counts starts: what belongs to an older one is passed over. */
  private generation = 0;
  private readonly stateChanged = new vscode.EventEmitter<State>();
  private readonly ready = new vscode.EventEmitter<void>();
  private readonly changesChanged = new vscode.EventEmitter<string>();
  private readonly scored = new vscode.EventEmitter<WorkspaceScore>();

  readonly onDidChangeState = this.stateChanged.event;
  /** A server runs and answers. */
  readonly onDidStart = this.ready.event;
  /** `diffidence/changes` has another answer for this root. */
  readonly onDidChangeChanges = this.changesChanged.event;
  readonly onDidScoreWorkspace = this.scored.event;

  constructor(
    private readonly extension: vscode.ExtensionContext,
    readonly log: vscode.LogOutputChannel,
    private readonly intercept: Interceptor,
  ) {}

  /** Starts the server, or another one in place of the one that runs. */
  async restart(): Promise<void> {
    this.crashes.forget();
    await this.start();
  }

  /** Sends a request; rejects if no server runs. */
  request<T>(method: string, params: unknown, token?: vscode.CancellationToken): Promise<T> {
    const client = this.client;
    if (client?.isRunning() !== true) {
      return Promise.reject(new Error('Diffidence is not running.'));
    }
    // A token that is undefined would be sent as a parameter.
    return token === undefined
      ? client.sendRequest<T>(method, params)
      : client.sendRequest<T>(method, params, token);
  }

  /** Runs a command of the server. */
  command<T>(command: string, ...args: unknown[]): Promise<T> {
    return this.request('workspace/executeCommand', { command, arguments: args });
  }

  /** Says what the changes of a repository are for; `undefined` takes it back. */
  async setTask(root: string, task: string | undefined): Promise<void> {
    await this.request('diffidence/setTask', { root, task: task ?? null });
    if (task === undefined) {
      this.tasks.delete(root);
    } else {
      this.tasks.set(root, task);
    }
  }

  task(root: string): string | undefined {
    return this.tasks.get(root);
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  async dispose(): Promise<void> {
    await this.stop();
    for (const emitter of [this.stateChanged, this.ready, this.changesChanged, this.scored]) {
      emitter.dispose();
    }
  }

  private enter(kind: State['kind'], message = ''): void {
    this.state = { kind, message };
    this.stateChanged.fire(this.state);
  }

  private async stop(): Promise<void> {
    this.generation += 1;
    clearTimeout(this.restartTimer);
    const client = this.client;
    this.client = undefined;
    this.process = undefined;
    try {
      await client?.dispose(STOP_TIMEOUT);
    } catch (error) {
      this.log.debug(`The server did not stop in order: ${error}`);
    }
  }

  private async start(): Promise<void> {
    await this.stop();
    const generation = this.generation;
    const isOld = () => generation !== this.generation;
    this.enter('starting');
    let program: string;
    try {
      program = await findProgram(this.extension);
    } catch (error) {
      if (!isOld()) {
        this.program = undefined;
        await this.fail(error instanceof Unusable ? error.message : `Diffidence: ${error}`);
      }
      return;
    }
    if (isOld()) {
      return;
    }
    this.program = program;
    const client = this.newClient(program, generation);
    this.client = client;
    try {
      await client.start();
      if (!isOld()) {
        await this.greet(client);
      }
    } catch (error) {
      this.log.warn(`The server did not start: ${error}`);
      this.ended(generation);
    }
  }

  /** The server is there: tell it again what it cannot know. */
  private async greet(client: LanguageClient): Promise<void> {
    const server = client.initializeResult?.serverInfo;
    this.log.info(`${server?.name} ${server?.version} runs: ${this.program}`);
    // A status may have come before; then it is the newer word.
    if (this.state.kind === 'starting') {
      this.enter('idle');
    }
    for (const [root, task] of this.tasks) {
      await client.sendRequest('diffidence/setTask', { root, task });
    }
    this.ready.fire();
  }

  private newClient(program: string, generation: number): LanguageClient {
    const isOld = () => generation !== this.generation;
    let lastWords = '';
    const run = async () => {
      const args = ['lsp', ...flags()];
      const server = spawn(program, args, { stdio: 'pipe', windowsHide: true });
      this.process = server;
      let ready = false;
      const spawned = new Promise<void>((resolve, reject) => {
        server.once('spawn', resolve);
        server.once('error', reject);
      });
      server.stderr.on('data', (data: Buffer) => {
        lastWords = data.toString().trim().split('\n').at(-1) ?? lastWords;
      });
      server.once('exit', (code, signal) => {
        this.log.warn(`The server ended: ${signal ?? `exit code ${code}`}`);
        // The client notices too, but not at every moment of its own start.
        setTimeout(() => this.ended(generation), NOTICE_TIMEOUT);
        // It said why and would say so again.
        if (code === 2 && !ready && !isOld()) {
          void this.fail(`Diffidence: ${lastWords || 'the server does not start'}`);
        }
      });
      server.stdout.once('data', () => {
        ready = true;
      });
      await spawned;
      return server;
    };
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: 'file' }],
      outputChannel: this.log,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          this.ended(generation);
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      initializationFailedHandler: () => false,
      middleware: {
        executeCommand: (command, args, next) =>
          this.intercept(command, args, async () => next(command, args)) ?? next(command, args),
        workspace: {
          configuration: (params, token, next) =>
            params.items.every((item) => item.section === SECTION)
              ? params.items.map(forServer)
              : next(params, token),
          // The server asks for what it wants to know.
          didChangeConfiguration: (_, next) => next(undefined),
        },
      },
    };
    const client = new QuietClient('diffidence', 'Diffidence', run, options);
    client.onNotification('diffidence/status', ({ state, message }) => {
      if (!isOld()) {
        this.enter(state, message);
      }
    });
    client.onNotification('diffidence/changesChanged', ({ root }) => {
      if (!isOld()) {
        this.changesChanged.fire(root);
      }
    });
    client.onNotification('diffidence/workspaceScore', (score: WorkspaceScore) => {
      if (!isOld()) {
        this.scored.fire(score);
      }
    });
    return client;
  }

  /** The process of this generation is gone although nobody asked it to go. */
  private ended(generation: number): void {
    if (generation !== this.generation) {
      return;
    }
    // Whatever else it has to say is too late. The client cleans up after itself.
    this.generation += 1;
    this.client = undefined;
    this.process = undefined;
    const decision = this.crashes.decide(Date.now());
    if ('giveUp' in decision) {
      void this.fail(`Diffidence stopped: ${decision.giveUp}.`);
      return;
    }
    const seconds = decision.restartAfter / 1000;
    this.log.warn(`The server ended unexpectedly; starting it again in ${seconds} s`);
    this.enter('restarting', 'The server ended unexpectedly and is started again');
    this.restartTimer = setTimeout(() => void this.start(), decision.restartAfter);
  }

  private async fail(sentence: string): Promise<void> {
    this.generation += 1;
    clearTimeout(this.restartTimer);
    this.client = undefined;
    this.process = undefined;
    this.log.error(sentence);
    this.enter('stopped', sentence);
    const choice = await vscode.window.showErrorMessage(
      sentence,
      'Restart',
      'Show Log',
      'Open Settings',
    );
    if (choice === 'Restart') {
      await this.restart();
    } else if (choice === 'Show Log') {
      this.log.show();
    } else if (choice === 'Open Settings') {
      await vscode.commands.executeCommand('workbench.action.openSettings', SECTION);
    }
  }
}
