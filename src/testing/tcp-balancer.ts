import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A load balancer, or the Service of a cluster, in front of several control planes. */
export interface TcpBalancer {
  readonly port: number;
  /** Port of 127.0.0.1 that new connections go to. */
  target: number;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

/** On a free port of 127.0.0.1. */
export async function startTcpBalancer(): Promise<TcpBalancer> {
  const sockets = new Set<Socket>();
  const cut = () => sockets.forEach((socket) => void socket.destroy());
  const server = createServer((client) => {
    const upstream = connect(balancer.target, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const balancer: TcpBalancer = {
    port: (server.address() as AddressInfo).port,
    target: 0,
    cut,
    async close() {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
  return balancer;
}
