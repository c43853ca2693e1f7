import { DATAPLANE_INSIGHTS } from '../../../src/cli/check/kube-objects.ts';
import { callHttp } from '../../../src/demo/api.ts';
import { type InsightReader, type InsightSpec, readInsight, type WatchedProxy } from '../../../src/demo/observe.ts';
import { connectKubernetes } from '../../../src/k8s/api/connect.ts';
import type { KubeObject } from '../../../src/k8s/api/object.ts';
import type { Cluster } from '../cluster.ts';
import { type Forward, forwardPort } from './forward.ts';

export interface WatchedProxies extends AsyncDisposable {
  readonly watched: readonly WatchedProxy[];
  readonly failed: Promise<never>;
}

/** The Envoys of `api` and `web`, through a forwarded admin port each. */
export async function proxiesOf(cluster: Cluster, namespace: string, adminPort: number): Promise<WatchedProxies> {
  const selector = ['--selector', 'app in (api, web)', '--field-selector', 'status.phase=Running'];
  const names = await cluster.kubectl(
    'get',
    'pods',
    '--namespace',
    namespace,
    ...selector,
    '-o',
    'jsonpath={.items[*].metadata.name}',
  );
  const forwards: Forward[] = [];
  const watched: WatchedProxy[] = [];
  for (const name of names.split(' ')) {
    const forward = await forwardPort({ cluster, namespace, target: `pod/${name}`, port: adminPort });
    forwards.push(forward);
    watched.push({
      name,
      certificates: () => callHttp(`http://127.0.0.1:${forward.port}/certs`, 'GET').then(({ body }) => body),
    });
  }
  return {
    watched,
    failed: Promise.race(forwards.map(({ failed }) => failed)),
    async [Symbol.asyncDispose]() {
      await Promise.all(forwards.map((forward) => forward[Symbol.asyncDispose]()));
    },
  };
}

interface InsightObject extends KubeObject {
  readonly status?: InsightSpec & { readonly weft?: { readonly certificate?: { readonly issuer?: string } } };
}

/** DataplaneInsights of a namespace, the issuer as the certificate itself names it: `CN=my-ca`. */
export async function insightReader(
  kubeconfig: string,
  namespace: string,
): Promise<AsyncDisposable & { readonly read: InsightReader }> {
  const client = await connectKubernetes({ kubeconfig });
  return {
    async read() {
      const { items } = await client.list<InsightObject>(DATAPLANE_INSIGHTS, { namespace });
      return new Map(
        items.map(({ metadata, status }) => [
          metadata.name,
          readInsight(status ?? {}, status?.weft?.certificate?.issuer ?? ''),
        ]),
      );
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}
