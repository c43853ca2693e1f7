import { describe, expect, it } from 'vitest';
import { type ApiServerFacts, checkApiServer, checkClock, skewOf } from './api-server.ts';
import { ABSENT, known } from './fact.ts';

const NOW = 1_000_000;
const good: ApiServerFacts = {
  server: 'https://server:6443',
  version: known('v1.33.1'),
  clock: known({ sentAt: NOW, receivedAt: NOW + 100, serverTime: NOW }),
  nodes: known([{ name: 'node-1', renewedAt: NOW - 8000 }]),
};

const outcomes = (facts: Partial<ApiServerFacts>) =>
  Object.fromEntries(checkApiServer({ ...good, ...facts }).map(({ id, outcome }) => [id, outcome]));

describe('checkApiServer', () => {
  it('is quiet about a good one', () => {
    expect(outcomes({})).toEqual({
      'kubernetes-api': 'ok',
      'kubernetes-version': 'ok',
      clock: 'ok',
      'node-clocks': 'ok',
    });
  });

  it('says why one does not answer, with a hint, and skips what follows', () => {
    const findings = checkApiServer({ ...good, version: { state: 'failed', reason: 'connection refused' } });
    expect(findings[0]).toMatchObject({
      outcome: 'fail',
      message: 'https://server:6443 does not answer: connection refused',
      hint: expect.stringContaining('--kubeconfig'),
    });
    expect(findings[1]?.outcome).toBe('skip');
  });

  it.each([
    ['v1.29.9', 'fail'],
    ['v1.30.0', 'ok'],
    ['v1.33.1-gke.100', 'ok'],
    ['v2.0.0', 'ok'],
    ['unknown', 'warn'],
  ])('version %s: %s', (version, outcome) => {
    expect(outcomes({ version: known(version) })['kubernetes-version']).toBe(outcome);
  });

  it.each([
    ['just renewed', 0, 'ok'],
    ['renewed at the next read', 2500, 'ok'],
    ['ahead', 5000, 'warn'],
    ['far ahead', 20_000, 'fail'],
    ['silent', -70_000, 'warn'],
  ])('a node whose lease is %s: %s', (_what, renewedAgo, outcome) => {
    expect(outcomes({ nodes: known([{ name: 'node-1', renewedAt: NOW + renewedAgo }]) })['node-clocks']).toBe(outcome);
  });

  it('skips the clocks of nodes that can not be read', () => {
    expect(outcomes({ nodes: known([]) })['node-clocks']).toBe('skip');
    expect(outcomes({ nodes: { state: 'forbidden', reason: 'no' } })['node-clocks']).toBe('skip');
  });
});

describe('clocks', () => {
  it.each([
    ['equal', { sentAt: 500, receivedAt: 600, serverTime: 0 }, 0],
    ['the second turned on the way', { sentAt: 950, receivedAt: 1050, serverTime: 1000 }, 0],
    ['the server is ahead', { sentAt: 0, receivedAt: 100, serverTime: 9000 }, 8900],
    ['the server is behind', { sentAt: 9000, receivedAt: 9100, serverTime: 0 }, -8000],
  ])('%s', (_what, reading, skew) => {
    expect(skewOf(reading)).toBe(skew);
  });

  it.each([
    [0, 'ok'],
    [6000, 'warn'],
    [-8000, 'warn'],
    [120_000, 'fail'],
  ])('a server %i ms ahead: %s', (ahead, outcome) => {
    expect(checkClock(known({ sentAt: NOW, receivedAt: NOW, serverTime: NOW + ahead })).outcome).toBe(outcome);
  });

  it('says in words whose clock is where', () => {
    const reading = { sentAt: NOW, receivedAt: NOW, serverTime: NOW + 10_000 };
    expect(checkClock(known(reading)).message).toBe("this machine's clock is 10 s behind the server's");
    expect(checkClock(ABSENT).outcome).toBe('skip');
  });
});
