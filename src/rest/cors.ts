import type { FastifyInstance } from 'fastify';

/** Origins allowed by configuration. Each expression must match the whole origin: `.*` inside a longer one can't be slipped past. Throws for a bad one. */
export function compileOrigins(patterns: readonly string[]): (origin: string) => boolean {
  const compiled = patterns.map((pattern) => {
    try {
      return new RegExp(`^(?:${pattern})$`);
    } catch (cause) {
      throw new Error(`configure allowed origins: "${pattern}" is not a regular expression`, { cause });
    }
  });
  return (origin) => compiled.some((pattern) => pattern.test(origin));
}

/**
 * Lets pages of allowed origins read answers. Credentials stay out: a page must send a token itself, and a page of another origin
 * is never taken for the local admin (`auth/direct-loopback.ts`). Source: Fetch standard, CORS protocol; CVE-2026-45021.
 */
export function applyCors(app: FastifyInstance, isAllowed: (origin: string) => boolean): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    reply.header('vary', 'origin');
    if (origin === undefined || !isAllowed(origin)) return;
    reply.header('access-control-allow-origin', origin);
    if (request.method !== 'OPTIONS') return;
    reply
      .header('access-control-allow-methods', 'GET, PUT, POST, DELETE')
      .header('access-control-allow-headers', 'authorization, content-type')
      .header('access-control-max-age', '600');
    return reply.code(204).send();
  });
}
