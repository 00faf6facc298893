import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidates, misfit, notFound, type Surroundings } from '../src/core/server';

const here: Surroundings = {
  setting: undefined,
  extension: '/ext',
  searchPath: '/usr/bin:relative::.:/home/me/bin',
  home: '/home/me',
  platform: 'linux',
  trusted: true,
};
const files = (of: Partial<Surroundings>) =>
  candidates({ ...here, ...of }).map(({ file, origin }) => `${origin} ${file}`);

test('the bundled program comes before those on the PATH, whose relative folders do not count', () => {
  assert.deepEqual(files({}), [
    'bundled /ext/server/diffidence',
    'PATH /usr/bin/diffidence',
    'PATH /home/me/bin/diffidence',
  ]);
  assert.deepEqual(files({ searchPath: undefined }), ['bundled /ext/server/diffidence']);
});

test('a setting stands alone', () => {
  assert.deepEqual(files({ setting: ' /opt/d ' }), ['setting /opt/d']);
  assert.deepEqual(files({ setting: '~/bin/d' }), ['setting /home/me/bin/d']);
  assert.equal(files({ setting: ' ' })[0], 'bundled /ext/server/diffidence');
});

test('without trust only the bundled program runs', () => {
  const untrusted = { trusted: false, setting: '/work/evil' };
  assert.deepEqual(files(untrusted), ['bundled /ext/server/diffidence']);
  assert.match(notFound({ ...here, ...untrusted }), /not trusted/);
});

test('on Windows the program has another name', () => {
  const windows: Partial<Surroundings> = {
    platform: 'win32',
    extension: 'C:\\ext',
    searchPath: 'C:\\bin;bin',
  };
  assert.deepEqual(files(windows), [
    'bundled C:\\ext\\server\\diffidence.exe',
    'PATH C:\\bin\\diffidence.exe',
  ]);
});

test('what is not found is said', () => {
  assert.match(notFound({ ...here, setting: '/opt/d' }), /no program at \/opt\/d/);
  assert.match(notFound(here), /none on the PATH/);
});

test('a program fits if it is Diffidence of the same compatible version', () => {
  const cases: [string, string, string | undefined][] = [
    ['diffidence 0.1.0\n', '0.1.0', undefined],
    ['diffidence 0.1.7', '0.1.0', undefined],
    ['diffidence 0.2.0', '0.1.0', 'is version 0.2.0; this extension needs 0.1'],
    ['diffidence 1.4.0', '1.2.0', undefined],
    ['diffidence 2.0.0', '1.2.0', 'is version 2.0.0; this extension needs 1'],
    ['ripgrep 14', '0.1.0', 'is not Diffidence: it says no version'],
    ['', '0.1.0', 'is not Diffidence: it says no version'],
  ];
  for (const [output, wanted, problem] of cases) {
    assert.equal(misfit(output, wanted), problem);
  }
});
