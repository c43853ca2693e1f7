import { type KubeClient, KubeError } from '../api/client.ts';
import { NAMESPACE, type Namespace } from '../api/core-kinds.ts';
import type { NamespaceLookup } from './inject-sidecar.ts';

/**
 * Namespaces by name, asked of the API server each time: a label that was set a moment ago decides whether a Pod is injected, and a Pod is
 * admitted once. Throws `KubeError`.
 */
export function createNamespaceLookup(client: Pick<KubeClient, 'get'>): NamespaceLookup {
  return async (name) => {
    try {
      return await client.get<Namespace>(NAMESPACE, { name });
    } catch (error) {
      if (error instanceof KubeError && error.code === 'not-found') return undefined;
      throw error;
    }
  };
}
