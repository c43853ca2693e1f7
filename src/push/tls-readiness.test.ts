import { describe, expect, it } from 'vitest';
import type { MeshSnapshot } from '../mesh/snapshot.ts';
import { createTlsReadiness } from './tls-readiness.ts';

/** Only what readiness reads. */
function snapshot(services: Readonly<Record<string, readonly string[]>>): MeshSnapshot {
  const views = Object.entries(services).map(
    ([name, dataplanes]) => [name, { endpoints: dataplanes.map((dataplane) => ({ dataplane })) }] as const,
  );
  return { name: 'm', services: new Map(views) } as unknown as MeshSnapshot;
}

const everyone = () => true;

describe('createTlsReadiness', () => {
  it('a service is ready when all its connected proxies are, and stays so', () => {
    const readiness = createTlsReadiness();
    const mesh = snapshot({ web: ['web-1', 'web-2'] });
    expect(readiness.taken('m', 'web-1')).toBe(true);
    expect(readiness.taken('m', 'web-1')).toBe(false);
    expect(readiness.ready(mesh, 'web', everyone)).toBe(false);
    expect(readiness.ready(mesh, 'web', (dataplane) => dataplane === 'web-1')).toBe(true);
    expect(readiness.ready(mesh, 'web', everyone)).toBe(true);
    readiness.off('m');
    expect(readiness.ready(mesh, 'web', everyone)).toBe(false);
  });

  it('tells of a ready service once, also when somebody asked before', () => {
    const readiness = createTlsReadiness();
    const mesh = snapshot({ web: ['web-1', 'web-2'], api: ['web-2'] });
    const news = () => [...readiness.news(mesh, ['web', 'api'], everyone)];
    readiness.taken('m', 'web-1');
    expect(news()).toEqual([]);
    readiness.taken('m', 'web-2');
    expect(readiness.ready(mesh, 'web', everyone)).toBe(true);
    expect(news()).toEqual(['web', 'api']);
    expect(news()).toEqual([]);
    readiness.off('m');
    readiness.taken('m', 'web-2');
    expect(news()).toEqual(['api']);
  });

  it('does not tell of a service without endpoints, which may come later', () => {
    const readiness = createTlsReadiness();
    expect([...readiness.news(snapshot({}), ['web'], everyone)]).toEqual([]);
    readiness.taken('m', 'web-1');
    expect([...readiness.news(snapshot({ web: ['web-1'] }), ['web'], everyone)]).toEqual(['web']);
  });
});
