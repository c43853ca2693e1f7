import { missingCluster } from './binaries.ts';
import { startCluster } from './cluster.ts';

/** `make cluster`: a cluster with cert-manager until Ctrl-C. One argument: the level; default the highest that this machine can have. */
const level = process.argv[2] ?? (missingCluster('node') === undefined ? 'node' : 'api');
if (level !== 'api' && level !== 'node') {
  console.error(`unknown level ${level}: it is api or node`);
  process.exit(2);
}
const missing = missingCluster(level);
if (missing !== undefined) {
  console.error(`no cluster of level ${level} here: ${missing}`);
  process.exit(1);
}
const asked = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve);
});
const started = Date.now();
const cluster = await startCluster({ level, certManager: { webhook: true } });
console.log(`Kubernetes with cert-manager (level ${level}) is up, after ${((Date.now() - started) / 1000).toFixed(1)} s.

  export KUBECONFIG=${cluster.kubeconfig}

Ctrl-C ends it and removes everything.`);
await asked;
await cluster.stop();
