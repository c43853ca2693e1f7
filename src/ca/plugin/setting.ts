import { z } from 'zod';

/** One entry of `weft.ca.plugins`: a CA backend type that comes from elsewhere. */
export interface PluginSetting {
  /** As in `mtls.backends[].type`. */
  readonly type: string;
  /** An ES module: path of a file or of a package's folder, or name of a package in `node_modules` of `general.workDir`. */
  readonly module: string;
  /** Environment variables of the control plane that its process gets. */
  readonly env: readonly string[];
  /** Folders and files it may read besides its own package. */
  readonly read: readonly string[];
  readonly allow: readonly ('addons' | 'child-processes')[];
  /** Largest heap of its process. */
  readonly memoryMb: number;
}

/** Types that a plug-in can't take. A test compares them with `caBackendKinds`. */
export const OWN_TYPES: readonly string[] = ['acmpca', 'builtin', 'certmanager', 'provided', 'vault'];

const words = () => z.array(z.string('must be a text'), 'must be a list of texts').readonly().default([]);

export const pluginSetting = z
  .strictObject({
    type: z
      .string('must be a text')
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, and begin with a letter')
      .refine((type) => !OWN_TYPES.includes(type), 'is a type that Weft has itself; give the plug-in another one'),
    module: z.string('must be a text').min(1, 'must not be empty'),
    env: words(),
    read: words(),
    allow: z
      .array(
        z.enum(['addons', 'child-processes'], 'must be one of: addons, child-processes'),
        'must be a list of texts',
      )
      .readonly()
      .default([]),
    memoryMb: z.int('must be a whole number').min(32, 'must be at least 32').default(256),
  })
  .readonly();
