import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterLevel } from './binaries.ts';
import type { Cluster } from './cluster.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { createKubectl } from './kubectl.ts';

/** The part of `kubectl config view -o json` that is read here. */
interface ConfigView {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data'?: string };
  }[];
}

/**
 * The user's own cluster, that of KUBECONFIG and its current context, with the same interface. Nothing of it is started or stopped, and it is
 * not cleaned up: tests delete what they create.
 */
export async function connectOwnCluster(level: ClusterLevel): Promise<Cluster> {
  const given = process.env['KUBECONFIG'];
  if (given === undefined) throw new Error('start a cluster: WEFT_TEST_CLUSTER=user needs KUBECONFIG');
  const directory = mkdtempSync(join(tmpdir(), 'weft-own-cluster-'));
  const kubectl = createKubectl('kubectl', given);
  // kubectl's own JSON.
  const view = JSON.parse(
    await kubectl(['config', 'view', '--minify', '--raw', '--flatten', '-o', 'json']),
  ) as ConfigView;
  const { server, 'certificate-authority-data': encoded = '' } = view.clusters[0]!.cluster;
  const ca = Buffer.from(encoded, 'base64').toString();
  const stop = async () => rmSync(directory, { recursive: true, force: true });
  const unavailable = async () => {
    throw new Error("not available: this is the user's own cluster");
  };
  return {
    level,
    kubectlProgram: 'kubectl',
    kubeconfig: given,
    server,
    ca,
    audit: undefined,
    kubectl: (...args) => kubectl(args),
    applyYaml: (text, ...args) => kubectl(['apply', '-f', '-', ...args], text),
    async kubeconfigFor(identity) {
      if ('user' in identity) return unavailable();
      const { serviceAccount, namespace } = identity;
      const token = await kubectl(['create', 'token', serviceAccount, '--namespace', namespace]);
      const file = join(directory, `${namespace}-${serviceAccount}.kubeconfig`);
      writeFileSync(file, kubeconfigText({ server, ca, user: { token: token.trim() }, namespace }), { mode: 0o600 });
      return file;
    },
    stopApiServer: unavailable,
    startApiServer: unavailable,
    stopCertManager: unavailable,
    startCertManager: unavailable,
    loadImage: unavailable,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
