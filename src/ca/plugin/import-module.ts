import { registerHooks } from 'node:module';

/** Imports `specifier`, a URL or the name of a package, as a file at the URL `base` would. */
export async function importModule(specifier: string, base: string): Promise<unknown> {
  const hooks = registerHooks({
    resolve: (asked, context, next) => next(asked, asked === specifier ? { ...context, parentURL: base } : context),
  });
  try {
    return await import(specifier);
  } finally {
    hooks.deregister();
  }
}
