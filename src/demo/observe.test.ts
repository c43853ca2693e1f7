import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createObserver, readCertificates, readInsights, rotationsOf } from './observe.ts';

const leaf = (serial: string, from: string, to: string, uri = 'spiffe://default/api') => ({
  serial_number: serial,
  subject_alt_names: [{ uri }, { uri: 'kuma://kuma.io/service/api' }],
  valid_from: from,
  expiration_time: to,
});

describe('readCertificates', () => {
  it('takes leaves with a SPIFFE ID and leaves others out', () => {
    const body = JSON.stringify({
      certificates: [
        { ca_cert: [leaf('ca', '', '')], cert_chain: [leaf('aa', '2026-01-01T00:00:00Z', '2026-01-01T00:00:20Z')] },
        { cert_chain: [{ serial_number: 'bb', subject_alt_names: [{ dns: 'admin' }] }] },
        {},
      ],
    });
    expect(readCertificates(body)).toEqual([
      {
        serial: 'aa',
        spiffeId: 'spiffe://default/api',
        validFrom: Date.UTC(2026, 0, 1),
        expiresAt: Date.UTC(2026, 0, 1, 0, 0, 20),
      },
    ]);
    expect(readCertificates('{}')).toEqual([]);
  });
});

describe('readInsights', () => {
  it('reads issuer and counts of the newest connection, numbers or texts', () => {
    const subscription = (responsesSent: unknown) => ({
      status: { total: { responsesSent, responsesAcknowledged: 6, responsesRejected: '1' } },
    });
    const items = [
      {
        name: 'api-1',
        dataplaneInsight: { mTLS: { issuedBackend: 'ca-1' }, subscriptions: [subscription(1), subscription('7')] },
      },
      { name: 'web-1' },
    ];
    expect([...readInsights({ items })]).toEqual([
      ['api-1', { issuer: 'ca-1', sent: 7, acknowledged: 6, rejected: 1 }],
      ['web-1', { issuer: '', sent: 0, acknowledged: 0, rejected: 0 }],
    ]);
  });
});

describe('createObserver', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'weft-observe-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('counts each new serial as a rotation, also while Envoy lists the old one, and keeps what does not answer', async () => {
    let chain = [leaf('aa', '2026-01-01T00:00:00Z', '2026-01-01T00:00:20Z')];
    let answers = true;
    const socket = join(dir, 'admin.sock');
    const envoy = createServer((_, outgoing) =>
      answers ? outgoing.end(JSON.stringify({ certificates: [{ cert_chain: chain }] })) : outgoing.destroy(),
    );
    await new Promise<void>((resolve) => envoy.listen(socket, resolve));
    const api = { url: '', put: async () => {}, post: async () => '', get: async () => ({ items: [] }) };
    const observer = createObserver(api, [{ name: 'api-1', adminSocket: socket }]);
    try {
      expect(rotationsOf(observer.views()[0]!)).toBe(0);
      await observer.look();
      await observer.look();
      expect(observer.views()[0]).toMatchObject({ serials: ['aa'], certificate: { serial: 'aa' } });
      chain = [leaf('bb', '2026-01-01T00:00:15Z', '2026-01-01T00:00:35Z'), ...chain];
      await observer.look();
      answers = false;
      await observer.look();
      expect(observer.views()[0]).toMatchObject({ serials: ['aa', 'bb'], certificate: { serial: 'bb' } });
      expect(rotationsOf(observer.views()[0]!)).toBe(1);
    } finally {
      envoy.close();
    }
  });
});
