// Keeps a number in a file, and is asked for it over a socket: `get`, or `set NUMBER`. After four requests it is done.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

let left = 4;
const server = createServer((socket) => {
  socket.setEncoding('utf8').on('data', (request) => {
    const [what, number] = request.trim().split(' ');
    if (what === 'set') writeFileSync('number', number);
    socket.end(readFileSync('number', 'utf8') + '\n');
    if (--left === 0) server.close();
  });
});
server.listen('number.new', () => renameSync('number.new', 'number.sock'));
