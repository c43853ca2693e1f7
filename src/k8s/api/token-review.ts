import type { TokenVerdict } from '../../auth/review-cache.ts';
import type { KubeClient } from './client.ts';
import { TOKEN_REVIEW, type TokenReview } from './core-kinds.ts';

const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';
const DEADLINE_MS = 5000;

/** Asks the API server; no `audiences` means its own. Throws `KubeError`, `unavailable` or `aborted` after five seconds at the latest. */
export async function reviewToken(
  client: Pick<KubeClient, 'create'>,
  token: string,
  audiences: readonly string[],
): Promise<TokenVerdict> {
  const review = await client.create<TokenReview>(
    TOKEN_REVIEW,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      // The kind has no names: the API server stores nothing.
      metadata: { name: '' },
      spec: { token, ...(audiences.length === 0 ? {} : { audiences }) },
    },
    { signal: AbortSignal.timeout(DEADLINE_MS) },
  );
  const { authenticated, user, audiences: meantFor = [], error } = review.status ?? {};
  if (authenticated !== true) return { authenticated: false, reason: error || 'it is not known' };
  const [name] = user?.extra?.[POD_NAME] ?? [];
  const [uid] = user?.extra?.[POD_UID] ?? [];
  return {
    authenticated: true,
    username: user?.username ?? '',
    audiences: meantFor,
    ...(name === undefined || uid === undefined ? {} : { pod: { name, uid } }),
  };
}
