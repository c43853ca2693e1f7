import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createRestFixture } from '../../src/testing/rest-fixture.ts';

const run = promisify(execFile);

describe('the OpenAPI document', () => {
  it('passes the linter', async () => {
    const api = await createRestFixture();
    const { status, json } = await api.call('GET', '/openapi.json', { role: 'anonymous' });
    expect(status).toBe(200);
    const folder = await mkdtemp(join(tmpdir(), 'openapi-'));
    try {
      const file = join(folder, 'openapi.json');
      await writeFile(file, JSON.stringify(json));
      const linter = join(process.cwd(), 'node_modules/.bin/redocly');
      const { stdout, stderr } = await run(linter, ['lint', file, '--extends', 'recommended'], {
        cwd: folder,
        env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' },
      });
      expect(`${stdout}${stderr}`).toMatch(/is valid/);
      expect(`${stdout}${stderr}`).not.toMatch(/warning/i);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('has every route, and nothing that is not served', async () => {
    const api = await createRestFixture();
    const { paths } = (await api.call('GET', '/openapi.json')).json as {
      paths: Record<string, Record<string, { operationId: string }>>;
    };
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(api.routes.map((route) => `${route.method} ${route.path}`).sort());
    const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(ids).size).toBe(ids.length);
  });
});
