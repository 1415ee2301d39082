// A custom handler that does nothing but keep a record of each invocation in a folder, for a
// comparison with keyrelay-host. Its record is a copy of keyrelay-host's, with the ids and times of
// the invocation, and appears under its name at once and whole, like keyrelay-host's.
// Arguments: the port, the folder, the file of the record, the file of the response.
'use strict';

const { randomBytes } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { mkdir, rename, writeFile } = require('node:fs/promises');
const { createServer } = require('node:http');
const { join } = require('node:path');

const [port, folder, recordFile, responseFile] = process.argv.slice(2);
const record = readFileSync(recordFile, 'utf8');
const response = readFileSync(responseFile);

async function keep(body) {
  const { Data, Metadata } = JSON.parse(body);
  const now = new Date().toISOString();
  const id = `${now.replace(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`;
  const run = JSON.parse(record);
  Object.assign(run, { id, began: now, invocation: Metadata.sys.RandGuid });
  Object.assign(run.event ?? {}, { id: Data.event.id });
  const day = join(folder, 'runs', now.slice(0, 10));
  await mkdir(day, { recursive: true });
  const staged = join(day, `${id}.json#1`);
  await writeFile(staged, JSON.stringify(run));
  await rename(staged, join(day, `${id}.json`));
}

const server = createServer((request, reply) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', async () => {
    try {
      if (request.method === 'POST') await keep(Buffer.concat(parts).toString());
      reply.writeHead(200, { 'content-type': 'application/json' });
      reply.end(response);
    } catch (error) {
      reply.writeHead(500);
      reply.end(String(error));
    }
  });
});
server.keepAliveTimeout = 0;
server.listen(Number(port), '127.0.0.1');
