// Adds one to the number that a server keeps, by a `get` and a `set`; waits a second for the server.
import { connect } from 'node:net';

let tries = 10;
const ask = (request, then) => {
  const socket = connect('number.sock', () => socket.write(request + '\n'));
  socket.setEncoding('utf8').on('data', (answer) => then(Number(answer)));
  socket.on('error', (error) => {
    if (error.code !== 'ENOENT' || tries-- === 0) throw error;
    setTimeout(ask, 100, request, then);
  });
};
ask('get', (number) => ask(`set ${number + 1}`, () => {}));
