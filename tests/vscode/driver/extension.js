/** Lets a test run functions where the `vscode` module is: it says in a file on which port. */

const { createServer } = require('node:http');
const { rename, writeFile } = require('node:fs/promises');
const vscode = require('vscode');

exports.activate = (context) => {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    let answer;
    try {
      const { source, args } = JSON.parse(body);
      answer = { value: await new Function(`return ${source}`)()(vscode, ...args) };
    } catch (error) {
      answer = { error: String(error?.stack ?? error) };
    }
    response.end(JSON.stringify(answer));
  });
  context.subscriptions.push({ dispose: () => server.close() });
  server.listen(0, '127.0.0.1', async () => {
    const file = process.env.DIFFIDENCE_TEST_DRIVER;
    await writeFile(`${file}.new`, String(server.address().port));
    await rename(`${file}.new`, file);
  });
};
