import { z } from 'zod';
import type { LauncherMessage } from './protocol.ts';

const key = z.string().regex(/^[0-9a-f]{64}$/);
const serial = z.string().regex(/^[0-9a-f]{0,80}$/);
const message = z.string().max(1000);
/** A key or a signature of RSA 4096 fits. */
const bytes = z.base64().max(1024);

const schema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), keys: z.array(key).max(4) }),
  z.object({ type: z.literal('request'), id: z.number().int(), publicKey: bytes, signature: bytes }),
  z.object({ type: z.literal('request-failed'), id: z.number().int(), message }),
  z.object({ type: z.literal('accepted'), serial }),
  z.object({ type: z.literal('refused'), serial, message }),
  z.object({ type: z.literal('ping') }),
]);

/** A line from a launcher; `undefined` when it is none of the messages. */
export function parseLauncherMessage(line: string): LauncherMessage | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
