import { type Invocation, textOption } from '../command.ts';
import { printText } from '../output/print.ts';
import { readKey } from './generate-token.ts';

/** `weft generate signing-key`. */
export async function generateSigningKey(invocation: Invocation): Promise<void> {
  const offline = await import('../../control-plane/offline.ts');
  const pem = await offline.generateSigningKey();
  const key = textOption(invocation, 'format') === 'pem' ? pem : Buffer.from(pem).toString('base64');
  await printText(invocation, invocation.io.terminal && !key.endsWith('\n') ? `${key}\n` : key, { key });
}

/** `weft generate public-key`. */
export async function generatePublicKey(invocation: Invocation): Promise<void> {
  const { publicKeyOf } = await import('../../control-plane/offline.ts');
  const path = textOption(invocation, 'signingKeyPath')!;
  const key = publicKeyOf(await readKey(path), `signing key ${path}`);
  await printText(invocation, key, { key });
}
