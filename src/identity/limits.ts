import type { CaBackendKind, CaLimits } from '../ca/backend.ts';
import type { MtlsBackend } from '../resources/kinds/mesh.ts';

const USUAL_CONCURRENCY = 32;

/** What a backend may be asked: what its Mesh says (`mtls.backends[i].limits`), else what its kind does. Pure. */
export function limitsOf(backend: MtlsBackend, kinds: readonly CaBackendKind[]): CaLimits {
  const kind = kinds.find(({ type }) => type === backend.type)?.limits;
  const concurrency = backend.limits?.concurrency ?? kind?.concurrency ?? USUAL_CONCURRENCY;
  const perSecond = backend.limits?.perSecond ?? kind?.perSecond;
  return { concurrency, ...(perSecond === undefined ? {} : { perSecond }) };
}
