import type { BackendConfig, CaDependencies, CaRenewal } from './backend.ts';
import {
  type CaPems,
  fingerprintOf,
  notConfigured,
  readStoredCa,
  type StoredCa,
  writeRenewal,
  writeSigning,
} from './builtin-secrets.ts';

/**
 * A builtin CA followed by another one. Each step may be done again, and finds what a former process left half done: what signs is decided by the
 * certificate Secret alone.
 */
export function createBuiltinRenewal(
  makeCa: (config: BackendConfig, deps: CaDependencies) => Promise<CaPems>,
): CaRenewal {
  async function stored(config: BackendConfig, deps: CaDependencies): Promise<StoredCa> {
    const found = await readStoredCa(config, deps);
    if (found === undefined) throw notConfigured(config, 'there is no CA yet');
    return found;
  }

  return {
    async state(config, deps) {
      const { signing, renewal } = await stored(config, deps);
      if (renewal === undefined) return { signing: fingerprintOf(signing), next: undefined, former: undefined };
      const isNew = signing === renewal.new;
      return {
        signing: fingerprintOf(signing),
        next: isNew ? undefined : fingerprintOf(renewal.new),
        former: isNew ? fingerprintOf(renewal.old) : undefined,
      };
    },
    async prepare(config, deps) {
      const { signing, renewal } = await stored(config, deps);
      if (renewal === undefined) await writeRenewal(config, deps, { old: signing, new: await makeCa(config, deps) });
    },
    async activate(config, deps) {
      const { renewal } = await stored(config, deps);
      if (renewal === undefined) throw notConfigured(config, 'no next CA has been prepared');
      await writeSigning(config, deps, renewal.new);
    },
    async restore(config, deps) {
      const { renewal } = await stored(config, deps);
      if (renewal === undefined) throw notConfigured(config, 'the former CA is not kept any more');
      await writeSigning(config, deps, renewal.old);
    },
    retire: (config, deps) => writeRenewal(config, deps, undefined),
  };
}
