import { readFile } from 'node:fs/promises';
import type { TokenKind } from '../auth/signing-keys.ts';
import type { PublicKey, TokenSettings } from '../auth/tokens.ts';
import type { ControlPlaneConfig } from './config.ts';

interface ConfiguredKey {
  readonly kid: string;
  readonly key?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly mesh?: string;
}

/** How tokens of each kind are issued and checked, with the offline public keys read from their files. Throws with the file's name. */
export async function loadTokenSettings(config: ControlPlaneConfig): Promise<Record<TokenKind, TokenSettings>> {
  const { dpProxy, zoneProxy } = config.dpServer.authn;
  const user = config.apiServer.authn.tokens;
  const [dataplane, zone, ofUsers] = await Promise.all(
    [dpProxy.dpToken, zoneProxy.zoneToken, user].map(async ({ enableIssuer, validator }) => ({
      enableIssuer,
      useSecrets: validator.useSecrets,
      publicKeys: await Promise.all(validator.publicKeys.map(loadKey)),
    })),
  );
  return { dataplane: dataplane!, zone: zone!, user: ofUsers! };
}

async function loadKey({ kid, key, keyFile, mesh }: ConfiguredKey): Promise<PublicKey> {
  const text = key ?? (await readFile(keyFile!, 'utf8'));
  return { kid, key: text, ...(mesh === undefined ? {} : { mesh }) };
}
