import type { SecretCreator } from '../auth/secrets.ts';
import type { TokenKind } from '../auth/signing-keys.ts';
import { createTokens, type TokenSettings, type Tokens } from '../auth/tokens.ts';
import type { Logger } from '../lib/log.ts';
import type { Resource } from '../resources/resource.ts';
import type { ResourceStore } from '../store/store.ts';
import { firstStart } from './first-start.ts';
import { createTokenSecrets } from './secrets.ts';

/** Tokens whose keys are in the store. */
export interface StoredTokens {
  readonly secrets: SecretCreator;
  /** Asking for keys waits until {@link StoredTokens.prepare} has made them. */
  readonly tokens: Tokens;
  /** Makes what a first start lacks. Never rejects: what fails is logged, and told to who asks for keys. */
  prepare(first: { bootstrapAdminToken: boolean; defaultMesh: Resource | undefined }): Promise<void>;
}

export function createStoredTokens(options: {
  store: ResourceStore;
  settings: Readonly<Record<TokenKind, TokenSettings>>;
  now: () => number;
  log: Logger;
}): StoredTokens {
  const { store, settings, now, log } = options;
  const secrets = createTokenSecrets(store);
  const keysReady = Promise.withResolvers<void>();
  keysReady.promise.catch(() => undefined);
  return {
    secrets,
    tokens: createTokens({
      secrets: {
        readSecret: (mesh, name) => secrets.readSecret(mesh, name),
        async listSecretNames(mesh, prefix) {
          await keysReady.promise;
          return secrets.listSecretNames(mesh, prefix);
        },
      },
      now,
      settings,
    }),
    async prepare(first) {
      try {
        const made = await firstStart({ ...first, store, secrets, tokens: createTokens({ secrets, now }) });
        if (made) log.info('mesh "default" created');
        keysReady.resolve();
      } catch (error) {
        log.error('preparing signing keys and the default mesh failed', { error });
        keysReady.reject(error);
      }
    },
  };
}
