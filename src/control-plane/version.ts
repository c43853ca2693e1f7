import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `/` says of this program. Not our own name: kumactl refuses to add a control plane of another product than its own. */
export const PRODUCT = 'Kuma';
/** From package.json, two folders up both in src/ and in dist/. */
export const VERSION: string = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
).version;
/** The Kuma line whose API this is. */
export const BASED_ON_KUMA = '2.11.18';
