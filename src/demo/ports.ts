import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/** Below what Linux and macOS hand to outgoing connections: a port from up there can be taken by one before it is listened on. */
const LOWEST = 10_000;
const HIGHEST = 32_000;
const ATTEMPTS = 200;

/** `count` different loopback ports that were free a moment ago: all are held at once, then given back. */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count && attempt < ATTEMPTS + count; attempt += 1) {
    const port = randomInt(LOWEST, HIGHEST);
    const server = await listen(port);
    if (server === undefined) continue;
    servers.push(server);
    ports.push(port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  if (ports.length < count)
    throw new Error(`find ${count} free ports between ${LOWEST} and ${HIGHEST}: only ${ports.length} were free`);
  return ports;
}

/** `undefined`: the port is taken. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
