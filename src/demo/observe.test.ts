import { describe, expect, it } from 'vitest';
import { createObserver, readCertificates, readOverviews, rotationsOf } from './observe.ts';

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

describe('readOverviews', () => {
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
    expect([...readOverviews({ items })]).toEqual([
      ['api-1', { issuer: 'builtin/ca-1', sent: 7, acknowledged: 6, rejected: 1 }],
      ['web-1', { issuer: '', sent: 0, acknowledged: 0, rejected: 0 }],
    ]);
  });
});

it('createObserver counts each new serial as a rotation, also while Envoy lists the old one, and keeps what does not answer', async () => {
  let chain = [leaf('aa', '2026-01-01T00:00:00Z', '2026-01-01T00:00:20Z')];
  let answers = true;
  const certificates = async () => {
    if (!answers) throw new Error('gone');
    return JSON.stringify({ certificates: [{ cert_chain: chain }] });
  };
  const insight = { issuer: 'CN=ca', sent: 1, acknowledged: 1, rejected: 0 };
  const readInsights = async () => {
    if (!answers) throw new Error('gone');
    return new Map([['api-1', insight]]);
  };
  const observer = createObserver(readInsights, [{ name: 'api-1', certificates }]);
  expect(rotationsOf(observer.views()[0]!)).toBe(0);
  await observer.look();
  await observer.look();
  expect(observer.views()[0]).toMatchObject({ serials: ['aa'], certificate: { serial: 'aa' } });
  chain = [leaf('bb', '2026-01-01T00:00:15Z', '2026-01-01T00:00:35Z'), ...chain];
  await observer.look();
  answers = false;
  await observer.look();
  expect(observer.views()[0]).toMatchObject({ serials: ['aa', 'bb'], certificate: { serial: 'bb' }, insight });
  expect(rotationsOf(observer.views()[0]!)).toBe(1);
});
