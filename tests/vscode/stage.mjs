/**
 * A real VS Code for tests: code-server with the packaged extension, seen through a browser.
 *
 * Everything lives in one temporary folder, with a home of its own. Nothing here knows what is
 * tested.
 */

import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/** Where `run` installed it. */
const installed = join(process.env.DIFFIDENCE_TOOLS, 'vscode');
const { chromium } = createRequire(`${installed}/`)('playwright-core');
/** Generous: only a failure takes so long. */
const PATIENCE = 60_000;
/** The same for a whole window, on a machine that has other things to do. */
const WINDOW_PATIENCE = 120_000;

/** Waits until `wanted` is true of what `probe` returns, and returns that. */
export async function eventually(what, probe, wanted = Boolean, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (wanted(last)) {
        return last;
      }
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`${what}: last saw ${last instanceof Error ? last : JSON.stringify(last)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Repo {
  constructor(folder, files) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.git('init', '-q', '-b', 'main');
    for (const [name, text] of Object.entries(files)) {
      this.write(name, text);
    }
    this.commit();
  }

  git(...args) {
    const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
    return execFileSync('git', ['-C', this.folder, ...who, ...args], { encoding: 'utf8' });
  }

  commit() {
    this.git('add', '-A');
    this.git('commit', '-qm', 'base');
  }

  path(name) {
    return join(this.folder, name);
  }

  write(name, text) {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), text);
  }

  read(name) {
    return readFileSync(this.path(name), 'utf8');
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Stage {
  /** Installs packaged extensions beside those in a folder, if it is told, and starts code-server and a browser. */
  static async open({ vsix = [], extensions, shots }) {
    const stage = new Stage();
    const node = process.execPath;
    const codeServer = join(installed, 'node_modules/code-server');
    stage.folder = mkdtempSync(join(tmpdir(), 'diffidence-vscode-'));
    stage.shots = shots ?? stage.folder;
    mkdirSync(stage.shots, { recursive: true });
    const at = (...parts) => join(stage.folder, ...parts);
    stage.settingsFile = at('data', 'User', 'settings.json');
    stage.machineSettingsFile = at('data', 'Machine', 'settings.json');
    stage.driverFile = at('driver-port');
    stage.logFile = at('code-server.log');
    stage.env = {
      ...process.env,
      HOME: at('home'),
      XDG_CONFIG_HOME: at('home', 'config'),
      XDG_DATA_HOME: at('home', 'share'),
      DIFFIDENCE_DATA_DIR: at('marks'),
      DIFFIDENCE_CACHE_DIR: at('cache'),
      DIFFIDENCE_TEST_DRIVER: stage.driverFile,
    };
    mkdirSync(at('home'), { recursive: true });
    mkdirSync(dirname(stage.settingsFile), { recursive: true });
    mkdirSync(dirname(stage.machineSettingsFile), { recursive: true });
    stage.configure({});
    const folders = ['--user-data-dir', at('data'), '--extensions-dir', extensions ?? at('extensions')];
    const run = [codeServer, ...folders];
    const driver = at('driver.vsix');
    packDriver(driver);
    for (const file of [...vsix, driver]) {
      execFileSync(node, [...run, '--install-extension', file], { env: stage.env, stdio: 'pipe' });
    }
    const port = await freePort();
    const flags = ['--auth', 'none', '--disable-telemetry', '--disable-update-check'];
    stage.server = spawn(node, [...run, ...flags, '--bind-addr', `127.0.0.1:${port}`], {
      env: stage.env,
      detached: true,
    });
    for (const stream of [stage.server.stdout, stage.server.stderr]) {
      stream.on('data', (data) => appendFileSync(stage.logFile, data));
    }
    stage.url = `http://127.0.0.1:${port}`;
    await eventually('code-server answers', async () => (await fetch(`${stage.url}/healthz`)).ok);
    stage.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
    return stage;
  }

  /** Lays settings over those that every test has; for the next window. */
  configure(settings) {
    const always = {
      'workbench.startupEditor': 'none',
      'workbench.tips.enabled': false,
      'workbench.welcomePage.walkthroughs.openOnInstall': false,
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
      'chat.disableAIFeatures': true,
      'security.workspace.trust.enabled': false,
      'window.autoDetectColorScheme': false,
      'editor.minimap.enabled': false,
      'files.autoSave': 'off',
      'telemetry.telemetryLevel': 'off',
      'extensions.ignoreRecommendations': true,
      'git.openRepositoryInParentFolders': 'never',
      'git.blame.editorDecoration.enabled': false,
    };
    const { 'diffidence.model': model, ...others } = settings;
    writeFileSync(this.settingsFile, JSON.stringify({ ...always, ...others }, null, 2));
    // The browser's machine is another one for VS Code, whose settings choose no program or model here.
    const ofMachine = model === undefined ? {} : { 'diffidence.model': model };
    writeFileSync(this.machineSettingsFile, JSON.stringify(ofMachine, null, 2));
  }

  /** Shows a folder or a `.code-workspace` file in a new window, in place of the one before. */
  async show(place) {
    await this.page?.context().close();
    rmSync(this.driverFile, { force: true });
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 760 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    this.page = await context.newPage();
    const query = place.endsWith('.code-workspace') ? 'workspace' : 'folder';
    const url = `${this.url}/?${query}=${encodeURIComponent(place)}`;
    await this.page.goto(url, { waitUntil: 'commit', timeout: WINDOW_PATIENCE });
    const port = () => (existsSync(this.driverFile) ? Number(readFileSync(this.driverFile, 'utf8')) : undefined);
    this.port = await eventually('the driver runs', port, Boolean, WINDOW_PATIENCE);
  }

  /** Runs a function in the extension host: `(vscode, ...args) => value`. */
  async inside(run, ...args) {
    const body = JSON.stringify({ source: run.toString(), args });
    const response = await fetch(`http://127.0.0.1:${this.port}`, { method: 'POST', body });
    const { value, error } = await response.json();
    if (error !== undefined) {
      throw new Error(error);
    }
    return value;
  }

  command(name, ...args) {
    return this.inside((vscode, name, args) => void vscode.commands.executeCommand(name, ...args), name, args);
  }

  /** Opens a file in an editor, with the cursor in the given line, from 0. */
  async edit(file, line = 0) {
    await this.inside(
      async (vscode, file, line) => {
        const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
        const at = new vscode.Position(line, 0);
        const selection = new vscode.Range(at, at);
        await vscode.window.showTextDocument(document, { selection, preview: false });
      },
      file,
      line,
    );
    await this.page.locator('.editor-instance .view-lines').first().waitFor();
  }

  /** The text of all elements that match. */
  texts(selector) {
    return this.page.locator(selector).allTextContents();
  }

  /** Takes a picture of a part of the window. */
  async picture(name, clip) {
    await this.page.screenshot({ path: join(this.shots, `${name}.png`), ...(clip && { clip }) });
  }

  async close() {
    await this.browser?.close();
    if (this.server?.exitCode === null) {
      const gone = new Promise((resolve) => this.server.once('exit', resolve));
      // The whole group: the extension host is a child of a child.
      process.kill(-this.server.pid, 'SIGTERM');
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

function packDriver(file) {
  const vsce = join(process.env.DIFFIDENCE_ROOT, 'editors/vscode/node_modules/@vscode/vsce/vsce');
  const flags = ['--no-dependencies', '--allow-missing-repository', '--skip-license', '--out', file];
  execFileSync(process.execPath, [vsce, 'package', ...flags], { cwd: join(here, 'driver'), stdio: 'pipe' });
}
