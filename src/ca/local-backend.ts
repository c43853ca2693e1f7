import { type CaBackend, type CaDependencies, CaError } from './backend.ts';
import { createLocalSigner, type LocalCa, type LocalSigner } from './local-signer.ts';

/**
 * A backend that signs in this process. The CA is loaded on first use and then kept, key included, until the backend is opened anew
 * (which its owner does when a used Secret or the conf changes); a failed load is tried again by the next call.
 */
export function createLocalBackend(
  load: () => Promise<LocalCa>,
  deps: Pick<CaDependencies, 'now' | 'earliestNow'>,
): CaBackend {
  let loaded: LocalSigner | undefined;
  let loading: Promise<LocalSigner> | undefined;

  async function signer(signal: AbortSignal): Promise<LocalSigner> {
    if (signal.aborted) throw new CaError('timeout', 'the call was cancelled before it began');
    if (loaded) return loaded;
    loading ??= load()
      .then((ca) => {
        loaded = createLocalSigner(ca);
        return loaded;
      })
      .finally(() => {
        loading = undefined;
      });
    return loading;
  }

  return {
    trustAnchors: async (signal) => (await signer(signal)).anchors,
    sign: async (request, signal) => (await signer(signal)).sign(request, deps.now(), deps.earliestNow?.()),
    crl: async (order, signal) => (await signer(signal)).crls(order),
  };
}
