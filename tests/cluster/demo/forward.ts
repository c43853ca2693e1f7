import { type ChildProcess, spawn } from 'node:child_process';
import type { Cluster } from '../cluster.ts';

/** A port of a Pod on a free port of this machine, by `kubectl port-forward`. */
export interface Forward extends AsyncDisposable {
  readonly port: number;
  /** Rejects when it ends without having been told to; never resolves. */
  readonly failed: Promise<never>;
}

/** Resolves when connections are taken. Rejects with what kubectl says. `target` is `deployment/web` or `pod/web-x`. */
export async function forwardPort(options: {
  readonly cluster: Pick<Cluster, 'kubeconfig' | 'kubectlProgram'>;
  readonly namespace: string;
  readonly target: string;
  readonly port: number;
}): Promise<Forward> {
  const { cluster, namespace, target, port } = options;
  const place = ['--kubeconfig', cluster.kubeconfig, '--namespace', namespace];
  const child = spawn(cluster.kubectlProgram, [...place, 'port-forward', target, `:${port}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches the demo only, which ends this in its turn.
    detached: true,
  });
  // However this process ends.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = endOf(child, `kubectl port-forward ${target} ${port}`);
  const local = await Promise.race([listeningPort(child), ended]);
  let told = false;
  const failed = ended.catch((error: unknown): Promise<never> => {
    if (told) return new Promise(() => {});
    throw error;
  });
  failed.catch(() => {});
  return {
    port: local,
    failed,
    async [Symbol.asyncDispose]() {
      told = true;
      process.off('exit', kill);
      child.kill('SIGTERM');
      await ended.catch(() => {});
    },
  };
}

/** `Forwarding from 127.0.0.1:41027 -> 9901` */
function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      const port = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(output)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
}

/** Rejects when the process has ended. */
function endOf(child: ChildProcess, what: string): Promise<never> {
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  return new Promise((_, reject) => {
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`${what}: ended with ${code}: ${errors.trim()}`)));
  });
}
