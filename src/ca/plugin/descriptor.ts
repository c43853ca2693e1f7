import type { CaPlugin } from '@weft/ca-backend';
import { z } from 'zod';
import { confSchemaProblem } from './conf-schema.ts';

/** Version of the plug-in interface that this program speaks: `PROTOCOL` of `sdk/src/plugin.ts`, which a test compares. */
export const SPOKEN = { major: 1, minor: 0 };

/** What a plug-in says of itself. */
export interface PluginDescriptor {
  readonly protocol: string;
  readonly type: string;
  readonly confSchema: Readonly<Record<string, unknown>>;
  readonly limits?: { readonly concurrency?: number | undefined; readonly perSecond?: number | undefined } | undefined;
}

const MAX_SCHEMA_CHARACTERS = 65_536;

const descriptor = z.object({
  protocol: z.string('has to be a text, such as "1.0"').superRefine((text, context) => {
    const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
    const [major, minor] = [Number(match?.[1]), Number(match?.[2])];
    if (match !== null && major === SPOKEN.major && minor <= SPOKEN.minor) return;
    const spoken = `${SPOKEN.major}.${SPOKEN.minor}`;
    context.addIssue(
      `is ${JSON.stringify(text.slice(0, 20))}, this version of Weft takes ${SPOKEN.major}.0 to ${spoken}`,
    );
  }),
  type: z.string('has to be a text'),
  confSchema: z
    .record(z.string(), z.unknown(), 'has to be a JSON Schema')
    .refine((schema) => JSON.stringify(schema).length <= MAX_SCHEMA_CHARACTERS, 'is too large')
    .superRefine((schema, context) => {
      const problem = confSchemaProblem(schema);
      if (problem !== undefined) context.addIssue(problem);
    }),
  limits: z
    .object({
      concurrency: z.int('has to be a whole number').min(1, 'has to be at least 1').optional(),
      perSecond: z.number('has to be a number').positive('has to be over zero').optional(),
    })
    .optional(),
});

/** Reads what a module exports by default, or what its process said of it. Throws an `Error` that lists every problem. */
export function readDescriptor(value: unknown): PluginDescriptor {
  const read = descriptor.safeParse(value, { reportInput: false });
  if (read.success) return read.data;
  const problems = read.error.issues.map(({ path, message }) => `${path.join('.') || 'it'} ${message}`);
  throw new Error(`this is no CA plug-in: ${problems.join('; ').slice(0, 500)}`);
}

/** As `readDescriptor`, and with what only the module itself has: its functions. */
export function readPlugin(value: unknown): {
  readonly plugin: CaPlugin<unknown>;
  readonly described: PluginDescriptor;
} {
  const described = readDescriptor(value);
  // The descriptor was read out of it, and the functions are looked at here: what they answer is checked with each call.
  const plugin = value as CaPlugin<unknown>;
  if (typeof plugin.open !== 'function') throw new Error('this is no CA plug-in: open has to be a function');
  if (plugin.validate !== undefined && typeof plugin.validate !== 'function') {
    throw new Error('this is no CA plug-in: validate has to be a function');
  }
  return { plugin, described };
}
