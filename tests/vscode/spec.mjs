/**
 * What a user of VS Code sees, from the packaged extension down to the server's process. Ends with
 * the number of checks, and with an error and a picture at the first that fails.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, Repo, Stage } from './stage.mjs';

const root = process.env.DIFFIDENCE_ROOT;
const server = process.env.DIFFIDENCE;
const shots = join(root, 'target/screenshots');
/** Scores low what adds the word `bad`, and all else high. */
const TINY = {
  'diffidence.model': join(process.env.DIFFIDENCE_TOOLS, 'tiny-bundle'),
  'diffidence.debounceMs': 100,
};

const stage = await Stage.open({ vsix: [process.env.DIFFIDENCE_VSIX], shots });
let passed = 0;

async function check(what, run) {
  const begin = performance.now();
  try {
    await run();
  } catch (error) {
    await stage.page?.screenshot({ path: join(shots, 'failed.png') });
    console.error(`FAILED: ${what}\n${error.stack}\nsee ${join(shots, 'failed.png')}`);
    console.error(await extensionLog().catch(() => ''));
    await stage.close();
    process.exit(1);
  }
  passed += 1;
  console.log(`ok ${what} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
}

const VIEW = '[id="workbench.view.extension.diffidence"]';
const lens = () => stage.texts('.codelens-decoration').then((all) => all.join(' '));
const status = () =>
  stage.texts('.statusbar-item[id$="diffidence.score"]').then((all) => all.join(' ').trim());
const tree = () => stage.texts(`${VIEW} .monaco-list-row`);
const toasts = () => stage.texts('.notification-toast').then((all) => all.join(' '));
const gutter = () => stage.page.locator('.cgmr[class*="TextEditorDecorationType"]');
const eventuallyLens = (pattern) => eventually('lens', lens, (text) => pattern.test(text));
const eventuallyStatus = (pattern) => eventually('status', status, (text) => pattern.test(text));
const eventuallyTree = (wanted) => eventually('tree', tree, wanted);
const matches = (pattern) => (rows) => rows.some((row) => pattern.test(row));

/** `line:character-line:character message` of each diagnostic of the extension. */
const diagnostics = (file) =>
  stage.inside(
    (vscode, file) =>
      vscode.languages
        .getDiagnostics(vscode.Uri.file(file))
        .filter(({ source, code }) => source === 'diffidence' && (code.value ?? code) === 'low-score')
        .map(({ range: { start, end } }) => `${start.line}:${start.character}-${end.line}:${end.character}`)
        .join(' '),
    file,
  );
const eventuallyDiagnostics = (file, wanted) =>
  eventually('diagnostics', () => diagnostics(file), (text) => text === wanted);

const replace = (file, before, after) =>
  stage.inside(
    async (vscode, file, before, after) => {
      const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
      const at = document.getText().indexOf(before);
      const range = new vscode.Range(document.positionAt(at), document.positionAt(at + before.length));
      const edit = new vscode.WorkspaceEdit();
      edit.replace(document.uri, range, after);
      return vscode.workspace.applyEdit(edit);
    },
    file,
    before,
    after,
  );
const save = () => stage.inside((vscode) => vscode.workspace.saveAll());
const text = (file) =>
  stage.inside(
    async (vscode, file) => (await vscode.workspace.openTextDocument(vscode.Uri.file(file))).getText(),
    file,
  );
const pid = () =>
  stage.inside((vscode) => vscode.extensions.getExtension('diffidence.diffidence').exports?.pid() ?? 0);
const set = (key, value) =>
  stage.inside((vscode, key, value) => vscode.workspace.getConfiguration().update(key, value, true), key, value);

function extensionLog() {
  const find = ['-c', `find ${stage.folder}/data/logs -name "*Diffidence*.log" | sort | xargs cat`];
  return Promise.resolve(execFileSync('sh', find, { encoding: 'utf8' }).slice(-6000));
}

async function palette(command) {
  const input = stage.page.locator('.quick-input-widget input').first();
  const first = stage.page.locator('.quick-input-list .monaco-list-row').first();
  // What happens in the window may take the palette away.
  await eventually(`the palette with ${command}`, async () => {
    await stage.command('workbench.action.showCommands');
    await input.fill(`>${command}`, { timeout: 2000 });
    return (await first.textContent({ timeout: 2000 })).includes(command);
  });
  await stage.page.keyboard.press('Enter');
}

/** Waits until an element has stopped fading in and growing, and returns its box. */
async function settled(element) {
  let last;
  await eventually('an element that keeps still', async () => {
    const { opacity, size } = await element.evaluate((node) => {
      let opacity = 1;
      for (let at = node; at; at = at.parentElement) {
        opacity *= Number(getComputedStyle(at).opacity);
      }
      const { x, y, width, height } = node.getBoundingClientRect();
      return { opacity, size: [x, y, width, height].join(' ') };
    });
    const picture = opacity === 1 ? size + (await element.screenshot()).toString('base64') : undefined;
    const same = picture !== undefined && picture === last;
    last = picture;
    return same;
  });
  return element.boundingBox();
}

const row = (text) => stage.page.locator(`${VIEW} .monaco-list-row`, { hasText: text }).first();

/** Clicks until that did something: what is renewed or busy just then lets a click pass. */
async function clickUntil(what, click, isDone) {
  let tries = 0;
  await eventually(`a click on ${what}`, async () => {
    if (tries === 0 || !(await isDone())) {
      tries += 1;
      await click();
    }
    return eventually('its effect', isDone, Boolean, 3000);
  });
}

const clickRow = (text, isDone) => clickUntil(text, () => row(text).click({ timeout: 1000 }), isDone);

/** Accepts what a dialog at the top of the window asks. */
function accept(isDone) {
  const ok = stage.page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' });
  return clickUntil('OK', () => ok.click({ timeout: 1000 }), isDone);
}

/** Unfolds a row of the tree, which then has a row like `shown`. */
const unfold = (text, shown) => clickRow(text, async () => matches(shown)(await tree()));

/** Clicks one of the buttons that a row of the tree shows under the mouse. */
async function clickAction(text, title, isDone) {
  const line = row(text);
  // Rows may change places under the mouse.
  const click = async () => {
    await line.hover({ timeout: 1000 });
    await line.locator(`.action-label[aria-label^="${title}"]`).click({ timeout: 1000 });
  };
  await clickUntil(`${title} of ${text}`, click, isDone);
}

const closeComparison = () =>
  clickAction('Candidates', 'Close Comparison', async () => !matches(/^Candidates/)(await tree()));

/** The same until it says what is wanted: again if the list was renewed just then, as users are told. */
async function clickActionUntilTold(text, title, pattern) {
  await eventually(`${title} of ${text}`, async () => {
    let told;
    await clickAction(text, title, async () => {
      told = await toasts();
      return pattern.test(told) || told.includes('Try again.');
    });
    await stage.command('notifications.clearAll');
    return pattern.test(told);
  });
}

const review = (...args) =>
  JSON.parse(
    execFileSync(server, ['review', 'list', '--format', 'json', ...args], { env: stage.env, encoding: 'utf8' }),
  );

/** A few files as they were and as they are, for pictures. */
function sample(when) {
  const folder = new URL(`sample/${when}/`, import.meta.url);
  const names = ['shop/prices.py', 'shop/basket.py', 'tests/test_prices.py'];
  return Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
}

const twelve = Array.from({ length: 12 }, (_, n) => `line ${n + 1}`);
const numbered = (changes) => `${twelve.map((line, n) => changes[n] ?? line).join('\n')}\n`;
const EDITED = { 1: 'a bad idea', 9: 'a fine idea' };
const ODD = 'dir with spaces/naïve ☃ ü.txt';

const repo = new Repo(join(stage.folder, 'first'), {
  'a.txt': numbered({}),
  [ODD]: numbered({}),
  'same.txt': 'same\n',
});
repo.write('a.txt', numbered(EDITED));
repo.write(ODD, numbered({ 4: 'bad: not open' }));
const a = repo.path('a.txt');
const odd = repo.path(ODD);

stage.configure(TINY);
await check('a repository with edits: the view lists them, open or not', async () => {
  await stage.show(repo.folder);
  const activation = await eventually('activation', () =>
    stage.inside((vscode) => vscode.extensions.getExtension('diffidence.diffidence')?.exports?.activationMs),
  );
  console.log(`activation: ${activation.toFixed(1)} ms`);
  await eventuallyStatus(/\d+% · 2 to check/);
  const item = stage.page.locator('.statusbar-item[id$="diffidence.score"]');
  await clickUntil('the status bar', () => item.click({ timeout: 1000 }), async () => (await tree()).length === 5);
  const rows = await tree();
  assert.match(rows.join('\n'), /a\.txt.*1 to check/);
  assert.match(rows.join('\n'), /naïve ☃ ü\.txt.*1 to check/);
  assert.match(rows.join('\n'), /\d+% {2}a bad idea.*line 2 · \+1 −1/);
});

await check('an open file: lens, diagnostic, hover, gutter, language status', async () => {
  await stage.edit(a);
  await eventuallyLens(/\d+% likely correct · 1 of 2 hunks to check/);
  await eventuallyDiagnostics(a, '1:0-1:10');
  const hover = await stage.inside(async (vscode, file) => {
    const at = new vscode.Position(1, 3);
    const uri = vscode.Uri.file(file);
    const hovers = await vscode.commands.executeCommand('vscode.executeHoverProvider', uri, at);
    return hovers.flatMap(({ contents }) => contents.map(({ value }) => value)).join('\n');
  }, a);
  assert.match(hover, /likely correct\*\* \(this hunk\)/);
  await eventually('gutter', () => gutter().count(), (n) => n === 2);
  await set('diffidence.decorations', false);
  await eventually('no gutter', () => gutter().count(), (n) => n === 0);
  await set('diffidence.decorations', true);
  await eventually('gutter', () => gutter().count(), (n) => n === 2);
  // The language status is behind the braces in the status bar.
  const braces = stage.page.locator('.statusbar-item[id="status.languageStatus"]');
  const said = stage.page.locator('.hover-language-status', { hasText: 'Diffidence' });
  await eventually('language status', async () => {
    await braces.hover({ timeout: 1000 });
    return (await said.first().textContent({ timeout: 1000 })).replaceAll('\u00a0', ' ');
  }, (text) => /Diffidence: ready.*Show Log/.test(text));
});

await check('a file is scored again on demand, open or not', async () => {
  const shown = () => stage.inside((vscode) => vscode.window.activeTextEditor?.document.uri.fsPath);
  await clickAction(/^naïve ☃ ü\.txt/, 'Rescore File', async () => (await shown()) === odd);
  await eventuallyLens(/\d+% likely correct · 1 hunk to check/);
  await stage.command('workbench.action.closeActiveEditor');
  await eventuallyLens(/\d+% likely correct · 1 of 2 hunks to check/);
});

await check('a click in the view leads to the hunk, and so do the commands', async () => {
  const place = () =>
    stage.inside((vscode) => {
      const { document, selection } = vscode.window.activeTextEditor;
      return `${document.uri.path.split('/').at(-1)}:${selection.active.line}`;
    });
  const eventuallyAt = (wanted) => eventually('place', place, (at) => at === wanted);
  await clickRow('bad: not open', async () => (await place()) === 'naïve ☃ ü.txt:4');
  await eventuallyLens(/· 1 hunk to check/);
  await palette('Diffidence: Next Low-Scoring Hunk');
  await eventuallyAt('a.txt:1');
  await palette('Diffidence: Next Low-Scoring Hunk');
  await eventuallyAt('naïve ☃ ü.txt:4');
  await palette('Diffidence: Previous Low-Scoring Hunk');
  await eventuallyAt('a.txt:1');
});

await check('the report is copied as Markdown', async () => {
  await palette('Diffidence: Copy Report as Markdown');
  const report = await eventually(
    'clipboard',
    () => stage.page.evaluate(() => navigator.clipboard.readText()),
    (text) => text.startsWith('### Diffidence'),
  );
  assert.match(report, /^### Diffidence: 2 hunks to check\n\n2 changed files in `first`, against HEAD/);
  assert.match(report, /\| \d+% \| `a\.txt:2` \| `a bad idea` \|/);
});

await check('a task is shown "with task", and taken back', async () => {
  await stage.edit(a);
  const input = stage.page.locator('.quick-input-widget input').first();
  await palette('Diffidence: Set Task Description');
  await eventually('input', () => input.getAttribute('placeholder'), (text) => text?.startsWith('Such as'));
  await stage.page.keyboard.type('Make all lines better');
  await stage.page.keyboard.press('Enter');
  await eventuallyLens(/with task/);
  await eventually('view', () => stage.texts(`${VIEW} .message`), matches(/^Against HEAD \(.*\) · with task$/));
  await palette('Diffidence: Set Task Description');
  await eventually('input', () => input.inputValue(), (text) => text === 'Make all lines better');
  await input.fill('');
  await stage.page.keyboard.press('Enter');
  await eventually('lens', lens, (text) => text.includes('likely correct') && !text.includes('with task'));
});

await check('mark wrong: stored, exported', async () => {
  assert.equal(review().marks.length, 0);
  await clickAction('a bad idea', 'Mark as Wrong', () => review().marks.length === 1);
  const { marks } = review();
  assert.equal(marks[0].label, 'wrong');
  assert.equal(marks[0].path, 'a.txt');
  assert.match(marks[0].patch, /a bad idea/);
  // Of a file that no editor shows.
  await stage.command('workbench.action.closeAllEditors');
  await clickAction('bad: not open', 'Mark as Correct', () => review().marks.length === 2);
  await stage.edit(a);
  const exported = join(stage.folder, 'marks of mine.jsonl');
  await palette('Diffidence: Export Feedback');
  const input = stage.page.locator('.quick-input-widget input').first();
  await eventually('dialog', () => input.inputValue(), (text) => text.endsWith('diffidence-marks.jsonl'));
  await input.fill(exported);
  await accept(async () => /Diffidence: .*marks of mine\.jsonl/.test(await toasts()));
  const lines = readFileSync(exported, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ label }) => label).toSorted(), [0, 1]);
  await stage.command('notifications.clearAll');
});

await check('ignore, and stop ignoring', async () => {
  await clickAction('a bad idea', 'Ignore Hunk', async () => (await diagnostics(a)) === '');
  await eventuallyLens(/1 ignored/);
  await eventuallyTree(matches(/a bad idea.*ignored/));
  await eventuallyStatus(/· 1 to check/);
  await clickAction('a bad idea', 'Stop Ignoring Hunk', async () => (await diagnostics(a)) === '1:0-1:10');
  await eventuallyStatus(/· 2 to check/);
  await eventuallyTree((rows) => /^a\.txt/.test(rows[0]));
});

await check('the diff is shown, and a hunk is put back', async () => {
  const diff = () => stage.inside((vscode) => vscode.window.activeTextEditor?.document.getText());
  await clickAction(/^a\.txt/, 'Show Diff against Base', async () => (await diff())?.includes('+a bad idea'));
  const reverted = numbered({ 1: EDITED[1] });
  await clickAction('a fine idea', 'Revert Hunk to Base', async () => (await text(a)) === reverted);
  assert.equal(repo.read('a.txt'), numbered(EDITED));
  await eventuallyTree((rows) => !matches(/a fine idea/)(rows));
});

await check('unsaved edits: scored as they stand, and fixed ones clear', async () => {
  await stage.edit(a, 1);
  await eventuallyLens(/· unsaved/);
  await stage.page.locator('.view-line', { hasText: 'a bad idea' }).click();
  await stage.page.keyboard.press('End');
  await stage.page.keyboard.type(' 😀 bad');
  await eventuallyTree(matches(/a bad idea 😀 bad/));
  await eventuallyDiagnostics(a, '1:0-1:17');
  assert.equal(repo.read('a.txt'), numbered(EDITED));
  await replace(a, 'a bad idea 😀 bad', 'line 2');
  await eventuallyDiagnostics(a, '');
  await eventually('lens', lens, (text) => text === '');
  await save();
  await eventuallyTree((rows) => !matches(/^a\.txt/)(rows));
  await eventuallyStatus(/· 1 to check/);
});

await check('a commit in a terminal clears everything', async () => {
  await replace(a, 'line 5', 'bad again');
  await save();
  await eventuallyLens(/· 1 hunk to check/);
  await eventuallyTree((rows) => rows.length === 4);
  repo.commit();
  const begin = performance.now();
  const took = () => Math.round(performance.now() - begin);
  const times = await Promise.all([
    eventually('lens', lens, (text) => text === '').then(took),
    eventually('diagnostics', () => diagnostics(a), (text) => text === '').then(took),
    eventuallyTree((rows) => rows.length === 0).then(took),
    eventuallyStatus(/no changes/).then(took),
  ]);
  const [forLens, forDiagnostics, forTree, forStatus] = times;
  console.log(`after the commit: lens ${forLens} ms, diagnostics ${forDiagnostics} ms, view ${forTree} ms, status ${forStatus} ms`);
  await eventually('view', () => stage.texts(`${VIEW} .welcome-view`), matches(/No changes to score/));
});

await check('CRLF and emoji: the right columns', async () => {
  const crlf = '// 😀 café\r\nlet x = "😀";\r\nlast\r\n';
  repo.write('crlf.txt', crlf);
  repo.git('-c', 'core.autocrlf=false', 'add', 'crlf.txt');
  repo.commit();
  await stage.edit(repo.path('crlf.txt'));
  const line = 'let x = "😀 bad 👩‍🚀";';
  await replace(repo.path('crlf.txt'), 'let x = "😀";', line);
  // Both count UTF-16 units, and neither the carriage return.
  await eventuallyDiagnostics(repo.path('crlf.txt'), `1:0-1:${line.length}`);
  await eventuallyLens(/· 1 hunk to check · unsaved/);
  await replace(repo.path('crlf.txt'), '😀 bad 👩‍🚀', '😀');
  await eventually('lens', lens, (text) => text === '');
  await save();
  assert.equal(repo.read('crlf.txt'), crlf);
});

await check('a killed server is started again', async () => {
  await stage.edit(a);
  await replace(a, 'line 3', 'bad before the crash');
  await eventuallyLens(/· 1 hunk to check/);
  const before = await pid();
  process.kill(before, 'SIGKILL');
  await eventually('another server', pid, (now) => now > 0 && now !== before);
  await eventuallyLens(/· 1 hunk to check/);
  await eventuallyDiagnostics(a, '2:0-2:20');
  await eventuallyStatus(/1 to check/);
});

await check('repeated crashes: said, nothing stale is left, and a restart helps', async () => {
  for (let last = 0, n = 0; n < 4; n += 1) {
    last = await eventually('a server', pid, (now) => now > 0 && now !== last);
    process.kill(last, 'SIGKILL');
  }
  await eventually('message', toasts, (text) => /Diffidence stopped: its server ended 5 times within 3 minutes/.test(text));
  await eventuallyStatus(/stopped/);
  assert.equal(await diagnostics(a), '');
  assert.deepEqual(await tree(), []);
  const restart = stage.page.locator('.notification-toast a', { hasText: 'Restart' });
  await clickUntil('Restart', () => restart.click({ timeout: 1000 }), async () => /1 to check/.test(await status()));
  await eventuallyDiagnostics(a, '2:0-2:20');
});

await check('another base is chosen and shown', async () => {
  await palette('Diffidence: Choose Base');
  const list = stage.page.locator('.quick-input-list .monaco-list-row');
  await eventually('branches', () => list.allTextContents(), matches(/main/));
  await stage.page.keyboard.type('HEAD~1');
  await stage.page.keyboard.press('Enter');
  await eventuallyLens(/against HEAD~1/);
  // A dialog would ask for it.
  await save();
  await stage.command('workbench.action.closeAllEditors');
});

await check('the doctor and the log can be read', async () => {
  await palette('Diffidence: Run Doctor');
  const shown = () => stage.inside((vscode) => vscode.window.activeTextEditor?.document.getText());
  await eventually('doctor', shown, (text) => /^program\n +version +0\.\d+\.\d+/.test(text ?? ''));
  await palette('Diffidence: Show Log');
  await eventually('log', () => stage.texts('.panel .view-line'), (lines) => lines.length > 0);
  await stage.command('workbench.action.closePanel');
});

await check('a program of another version is refused with its version', async () => {
  const fake = join(stage.folder, 'old-diffidence');
  writeFileSync(fake, '#!/bin/sh\necho diffidence 9.9.9\n');
  chmodSync(fake, 0o755);
  await set('diffidence.server.path', fake);
  await eventually('message', toasts, (text) => /old-diffidence is version 9\.9\.9; this extension needs 0\.1/.test(text));
  await eventuallyStatus(/stopped/);
  await set('diffidence.server.path', null);
  await eventuallyStatus(/to check|nothing low/);
});

await check('files that are put off are scored on demand', async () => {
  const many = new Repo(join(stage.folder, 'many'), {
    'one.txt': numbered({}),
    'two.txt': numbered({}),
    // No repository chooses the model, though this one is trusted.
    '.vscode/settings.json': JSON.stringify({ 'diffidence.model': '/nowhere' }),
  });
  many.write('one.txt', numbered({ 3: 'a fine change' }));
  many.write('two.txt', numbered({ 3: 'a bad change' }));
  stage.configure({ ...TINY, 'diffidence.backgroundSeconds': 0, 'diffidence.workspaceScore': false });
  await stage.show(many.folder);
  await stage.command('diffidence.review.focus');
  await eventually('view', () => stage.texts(`${VIEW} .message`), matches(/^2 files not scored yet/));
  await eventuallyTree(matches(/\.txtnot scored yet/));
  await palette('Diffidence: Score Remaining Files');
  await eventuallyTree(matches(/two\.txt.*12% · 1 to check/));
  await eventuallyTree(matches(/one\.txt.*87%/));
  stage.configure(TINY);
});

await check('candidates: compared, shown beside their base and each other, applied or refused', async () => {
  const task = new Repo(join(stage.folder, 'task'), { 'a.txt': numbered({}), 'b.txt': 'one\n' });
  task.write('a.txt', numbered({ 5: 'a bad idea of a branch' }));
  task.git('checkout', '-q', '-b', 'agent/bad');
  task.commit();
  task.git('checkout', '-q', 'main');
  const patch = (name, changes) => {
    task.write('a.txt', numbered(changes));
    writeFileSync(join(stage.folder, name), task.git('diff'));
    task.git('checkout', '-q', '.');
    return join(stage.folder, name);
  };
  const good = patch('good one.patch', { 5: 'a fine idea', 6: 'and ünother' });
  const poor = patch('bad one.patch', { 5: 'a bad idea' });
  await stage.show(task.folder);
  await stage.edit(task.path('a.txt'));
  await eventuallyStatus(/no changes/);

  // Chosen from what there is.
  await palette('Diffidence: Compare Candidate Patches');
  const list = stage.page.locator('.quick-input-list .monaco-list-row');
  await eventually('choices', () => list.allTextContents(), (all) => all.some((text) => text.includes('agent/bad')));
  assert.match((await list.allTextContents()).join('\n'), /Patch files…[^]*agent\/bad[^]*task.*what is changed here now/);
  for (const text of ['agent/bad', 'what is changed here now']) {
    const choice = list.filter({ hasText: text });
    const isTicked = async () => (await choice.getAttribute('aria-checked')) === 'true';
    await clickUntil(text, () => choice.click({ timeout: 1000 }), isTicked);
  }
  await accept(async () => matches(/^Candidates1 ranked · 1 not/)(await tree()));
  await eventuallyTree(matches(/1\. agent\/bad12%/));
  await eventuallyTree(matches(/taskit changes nothing since [0-9a-f]{7}/));

  // As from the explorer, with unsaved edits that stay.
  await replace(task.path('a.txt'), 'line 1\n', 'mine, not saved\n');
  const compare = (...files) =>
    stage.inside(async (vscode, files) => {
      const uris = files.map((file) => vscode.Uri.file(file));
      await vscode.commands.executeCommand('diffidence.compareCandidates', uris[0], uris);
    }, files);
  await compare(poor, good);
  await eventuallyTree(matches(/^Candidates2 ranked/));
  await eventuallyTree(matches(/1\. good one\.patch87% · \d+% agreement/));
  await eventuallyTree(matches(/2\. bad one\.patch12% · \d+% agreement/));
  await unfold('1. good one.patch', /^a\.txt87% · \+2 −2/);
  const sides = () =>
    stage.inside(async (vscode) => {
      const { input, label } = vscode.window.tabGroups.activeTabGroup.activeTab ?? {};
      const read = async (uri) => uri && (await vscode.workspace.openTextDocument(uri)).getText();
      return [label, await read(input?.original), await read(input?.modified)];
    });
  await clickRow('87% · +2 −2', async () => typeof (await sides())[2] === 'string');
  const [label, before, after] = await sides();
  assert.match(label, /^a\.txt \([0-9a-f]{7} ↔ good one\.patch\)$/);
  assert.deepEqual([before, after], [numbered({}), numbered({ 5: 'a fine idea', 6: 'and ünother' })]);
  await stage.picture('candidates-tiny');

  // Beside each other: with the first, with a selected one, and with the base where that has none.
  const menu = (text, title, isDone) =>
    clickUntil(
      `${title} of ${text}`,
      async () => {
        const entry = stage.page.locator('.monaco-menu .action-item', { hasText: title }).first();
        await stage.page.keyboard.press('Escape');
        await row(text).click({ button: 'right', timeout: 1000 });
        await entry.waitFor({ timeout: 1000 });
        // VS Code lets a click pass that comes within 100 ms of the menu, which stays open then.
        await eventually('the menu closes', async () => {
          const isOpen = await entry.isVisible();
          if (isOpen) {
            await entry.click({ timeout: 500 });
          }
          return !isOpen;
        });
      },
      isDone,
    );
  const eventuallySides = async (wanted, ...texts) => {
    const [, ...shown] = await eventually(`diff ${wanted}`, sides, ([label]) => wanted.test(label));
    assert.deepEqual(shown, texts);
  };
  await unfold('2. bad one.patch', /^a\.txt12% · \+1 −1/);
  const shows = (wanted) => async () => wanted.test((await sides())[0]);
  const beside = /^a\.txt \(good one\.patch ↔ bad one\.patch\)$/;
  await clickAction('12% · +1 −1', 'Compare with First Candidate', shows(beside));
  const [fine, bad] = [numbered({ 5: 'a fine idea', 6: 'and ünother' }), numbered({ 5: 'a bad idea' })];
  await eventuallySides(beside, fine, bad);
  await stage.picture('candidates-beside-tiny');
  await row('87% · +2 −2').hover();
  await row('87% · +2 −2').locator('.action-label[aria-label^="Show Diff of Candidate"]').waitFor();
  const first = row('87% · +2 −2').locator('.action-label[aria-label^="Compare with First"]');
  assert.equal(await first.count(), 0);
  const selected = matches(/2\. bad one\.patch12% · .* · selected$/);
  await menu('2. bad one.patch', 'Select Candidate for Compare', async () => selected(await tree()));
  const turned = /^a\.txt \(bad one\.patch ↔ good one\.patch\)$/;
  await menu('87% · +2 −2', 'Compare with Selected Candidate', shows(turned));
  await eventuallySides(turned, bad, fine);
  const twoFiles = join(stage.folder, 'two files.patch');
  const more = '--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-one\n+bad two\n';
  writeFileSync(twoFiles, readFileSync(poor, 'utf8') + more);
  await compare(twoFiles, good);
  await eventuallyTree(matches(/2\. two files\.patch/));
  await unfold('2. two files.patch', /^b\.txt.*\+1 −1/);
  const besideBase = /^b\.txt \([0-9a-f]{7} ↔ two files\.patch\)$/;
  await clickAction(/^b\.txt/, 'Compare with First Candidate', shows(besideBase));
  await eventuallySides(besideBase, 'one\n', 'bad two\n');
  await compare(poor, good);
  await eventuallyTree(matches(/2\. bad one\.patch/));
  const apply = (text, told) => clickActionUntilTold(text, 'Apply This Candidate', told);
  await apply('1. good one.patch', /made the changes of good one\.patch in 1 file\. Nothing is saved yet/);
  const made = numbered({ 0: 'mine, not saved', 5: 'a fine idea', 6: 'and ünother' });
  await eventually('text', () => text(task.path('a.txt')), (now) => now === made);
  assert.equal(task.read('a.txt'), numbered({}));
  await apply('2. bad one.patch', /bad one\.patch cannot be applied: a\.txt: hunk 1 does not fit/);
  assert.equal(await text(task.path('a.txt')), made);
  await closeComparison();
  await save();
});

await check('the walkthrough', async () => {
  await stage.command('workbench.action.openWalkthrough', 'diffidence.diffidence#start', false);
  for (const step of ['See a score', 'Look at the lowest first', 'Say what the change is for', 'Say what you know better']) {
    await eventually(step, () => stage.page.getByText(step, { exact: true }).first().isVisible());
  }
  await stage.picture('walkthrough');
  await stage.command('workbench.action.closeAllEditors');
});

await check('two roots: each with its own changes', async () => {
  const second = new Repo(join(stage.folder, 'second'), { 'b.txt': numbered({}) });
  second.write('b.txt', numbered({ 2: 'bad in the second' }));
  repo.git('checkout', '-q', '-f', '.');
  repo.write('a.txt', numbered({ 6: 'fine in the first' }));
  const workspace = join(stage.folder, 'both.code-workspace');
  writeFileSync(workspace, JSON.stringify({ folders: [{ path: 'first' }, { path: 'second' }] }));
  await stage.show(workspace);
  await stage.edit(second.path('b.txt'));
  await eventuallyStatus(/1 to check/);
  await stage.edit(a);
  await eventuallyStatus(/nothing low/);
  await stage.command('diffidence.review.focus');
  const rows = await eventuallyTree((rows) => rows.length >= 5);
  assert.match(rows[0], /^first.*against HEAD/);
  assert.match(rows.join('\n'), /second.*1 to check/);
  await eventuallyTree(matches(/bad in the second/));
});

await check('the bundled model, in pictures', async () => {
  const shop = new Repo(join(stage.folder, 'shop'), sample('before'));
  for (const [name, text] of Object.entries(sample('after'))) {
    shop.write(name, text);
  }
  // What two others made of the same task.
  const draft = new Repo(join(stage.folder, 'draft'), sample('before'));
  const others = [
    ['agent-2.patch', [['price - discount', 'price * (1 - discount)'], ['discount > 1', 'not 0 <= discount <= 1']]],
    ['agent-3.patch', []],
  ].map(([name, edits]) => {
    const after = sample('after')['shop/prices.py'];
    draft.write('shop/prices.py', edits.reduce((text, [from, to]) => text.replace(from, to), after));
    writeFileSync(join(stage.folder, name), draft.git('diff'));
    return join(stage.folder, name);
  });
  for (const [theme, name] of [
    ['light', 'Default Light Modern'],
    ['dark', 'Default Dark Modern'],
  ]) {
    stage.configure({ 'workbench.colorTheme': name, 'diffidence.minScore': 0.45 });
    await stage.show(shop.folder);
    await stage.command('diffidence.review.focus');
    await stage.edit(shop.path('shop/prices.py'), 11);
    await eventuallyLens(/\d+% likely correct/);
    await eventuallyStatus(/\d+% · /);
    await eventuallyTree((rows) => rows.length >= 5 && !matches(/scoring…/)(rows));
    await eventually('view', () => stage.texts(`${VIEW} .message`), matches(/^Against HEAD/));
    await eventually('gutter', () => gutter().count(), (n) => n > 0);
    await eventually('squiggle', () => stage.page.locator('.squiggly-warning').count(), (n) => n > 0);
    await eventually('no progress', () => stage.texts('.notification-toast'), (all) => all.length === 0);
    await stage.picture(`review-${theme}`, { x: 0, y: 35, width: 1040, height: 420 });
    const line = stage.page.locator('.view-line', { hasText: 'return round' }).first();
    await line.hover({ position: { x: 60, y: 8 } });
    const hover = stage.page.locator('.monaco-hover:visible', { hasText: 'likely correct' }).first();
    await hover.waitFor();
    const box = await settled(hover);
    await stage.picture(`hover-${theme}`, { x: 350, y: Math.max(35, box.y - 90), width: Math.max(690, box.x + box.width - 330), height: box.height + 170 });
    await stage.page.mouse.move(900, 500);
    await stage.inside(async (vscode, files) => {
      const uris = files.map((file) => vscode.Uri.file(file));
      await vscode.commands.executeCommand('diffidence.compareCandidates', uris[0], uris);
    }, others);
    await eventuallyTree(matches(/^Candidates2 ranked/));
    await unfold('1. agent-', /^prices\.py\d+% · \+/);
    const diff = stage.page.locator('.editor-instance .diff-hidden-lines, .editor-instance .side-by-side');
    await clickRow(/^prices\.py\d+% · \+/, async () => (await diff.count()) > 0);
    await stage.page.mouse.move(900, 600);
    await eventually('no progress', () => stage.texts('.notification-toast'), (all) => all.length === 0);
    await stage.picture(`candidates-${theme}`, { x: 0, y: 35, width: 1280, height: 420 });
  }
});

await check('the bundled model takes a task into account', async () => {
  await closeComparison();
  await stage.edit(join(stage.folder, 'shop/shop/prices.py'), 11);
  await eventuallyLens(/\d+% likely correct/);
  const percents = async () => [await lens(), ...(await tree())].join(' ').match(/\d+%/g);
  const before = await percents();
  await palette('Diffidence: Set Task Description');
  const input = stage.page.locator('.quick-input-widget input').first();
  await eventually('input', () => input.getAttribute('placeholder'), (text) => text?.startsWith('Such as'));
  await stage.page.keyboard.type('Round prices half up, and give a discount from ten pieces on');
  await stage.page.keyboard.press('Enter');
  await eventuallyLens(/\d+% likely correct.*with task/);
  await eventuallyTree((rows) => !matches(/scoring…/)(rows));
  await eventually('other scores', percents, (now) => now.join() !== before.join());
});

await check('the bundled model, in a workspace that is not trusted', async () => {
  const evil = new Repo(join(stage.folder, 'untrusted'), sample('before'));
  const marker = join(stage.folder, 'was-run');
  const program = evil.path('evil');
  evil.write('evil', `#!/bin/sh\ntouch ${marker}\necho diffidence 0.1.0\n`);
  chmodSync(program, 0o755);
  evil.write('.vscode/settings.json', JSON.stringify({ 'diffidence.server.path': program, 'diffidence.model': '/nowhere' }));
  evil.commit();
  const file = 'shop/prices.py';
  evil.write(file, sample('after')[file]);
  stage.configure({ 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' });
  await stage.show(evil.folder);
  assert.equal(await stage.inside((vscode) => vscode.workspace.isTrusted), false);
  await stage.edit(evil.path(file));
  await eventuallyLens(/\d+% likely correct/);
  await eventuallyStatus(/\d+% · /);
  assert.throws(() => readFileSync(marker), { code: 'ENOENT' });
});

await stage.close();
console.log(`${passed} checks passed`);
