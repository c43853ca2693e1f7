/**
 * A process for tests in network namespaces. `serve PORT...` answers every connection with `<own port> <peer address>`; `call ADDRESS PORT`
 * prints that answer, or the code of the error.
 */
import { connect, createServer } from 'node:net';

const [mode, ...args] = process.argv.slice(2);
if (mode === 'serve') {
  for (const port of args) {
    createServer((socket) => {
      socket.on('error', () => {});
      socket.end(`${port} ${socket.remoteAddress?.replace('::ffff:', '')}`);
    }).listen({ host: '::', port: Number(port) }, () => process.stdout.write(`listening ${port}\n`));
  }
} else {
  const socket = connect({ host: args[0]!, port: Number(args[1]), timeout: 3000 });
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  socket.on('timeout', () => socket.destroy(Object.assign(new Error('late'), { code: 'TIMEOUT' })));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    answer = error.code ?? error.message;
  });
  socket.on('close', () => process.stdout.write(answer));
}
