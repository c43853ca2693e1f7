import { beforeEach, describe, expect, it } from 'vitest';
import type { HeldLeaf, TrustBundle } from '../identity/identity.ts';
import { createDrivenClock, type DrivenClock } from '../testing/fakes/driven-clock.ts';
import { createRootGate, type RootGate } from './root-gate.ts';

/** A bundle trusts the roots whose letters are in its text; a leaf is of the root its issuer names. */
const bundle = (pem: string): TrustBundle => ({ mesh: 'm', pem, version: pem, backends: ['ca'] });
const leaf = (issuer: string) => ({ issuer }) as HeldLeaf;
const [A, AB] = [bundle('A'), bundle('AB')];

let clock: DrivenClock;
let gate: RootGate;
let woken: number;
beforeEach(() => {
  clock = createDrivenClock();
  woken = 0;
  gate = createRootGate({
    clock,
    verifies: ({ issuer }, pem) => pem.includes(issuer),
    wake: () => {
      woken += 1;
    },
  });
});

describe('the root gate', () => {
  it('is open for the first root of a mesh, and for one that was trusted before', async () => {
    gate.bundle('m', A);
    expect(gate.opens('m', leaf('A'))).toBe(true);
    await clock.advance(60_000);
    gate.bundle('m', AB);
    expect(gate.opens('m', leaf('A'))).toBe(true);
    expect(gate.opens('m', leaf('B'))).toBe(false);
    expect(gate.opens('other', leaf('B'))).toBe(true);
  });

  it('opens for a root that joined when every proxy here has it and the others had time', async () => {
    gate.bundle('m', A);
    for (const proxy of ['one', 'two']) gate.acknowledged('m', proxy, A);
    await clock.advance(60_000);
    gate.bundle('m', AB);
    gate.acknowledged('m', 'one', AB);
    await clock.advance(3000);
    expect(gate.opens('m', leaf('B'))).toBe(false);
    const before = woken;
    gate.acknowledged('m', 'two', AB);
    expect([woken, gate.opens('m', leaf('B'))]).toEqual([before + 1, true]);
  });

  it('gives other control planes a moment even when all proxies here are quick', async () => {
    gate.bundle('m', A);
    gate.acknowledged('m', 'one', A);
    await clock.advance(60_000);
    gate.bundle('m', AB);
    gate.acknowledged('m', 'one', AB);
    expect(gate.opens('m', leaf('B'))).toBe(false);
    woken = 0;
    await clock.advance(2010);
    expect([woken, gate.opens('m', leaf('B'))]).toEqual([1, true]);
  });

  it('wakes nobody before it is open, also when timers are a millisecond early', async () => {
    const opened: boolean[] = [];
    const hasty = createRootGate({
      clock: { ...clock, after: (ms, run) => clock.after(ms - 1, run) },
      verifies: ({ issuer }, pem) => pem.includes(issuer),
      wake: () => opened.push(hasty.opens('m', leaf('B'))),
    });
    hasty.bundle('m', A);
    hasty.acknowledged('m', 'one', A);
    await clock.advance(60_000);
    hasty.bundle('m', AB);
    hasty.acknowledged('m', 'one', AB);
    opened.length = 0;
    await clock.advance(3000);
    expect(opened).toEqual([true]);
  });

  it('waits ten seconds for a proxy that does not answer, and not at all for one that left', async () => {
    gate.bundle('m', A);
    for (const proxy of ['one', 'stuck']) gate.acknowledged('m', proxy, A);
    await clock.advance(60_000);
    gate.bundle('m', AB);
    gate.acknowledged('m', 'one', AB);
    await clock.advance(9999);
    expect(gate.opens('m', leaf('B'))).toBe(false);
    await clock.advance(1);
    expect(gate.opens('m', leaf('B'))).toBe(true);

    gate.bundle('m', bundle('ABC'));
    gate.acknowledged('m', 'one', bundle('ABC'));
    gate.acknowledged('m', 'stuck', undefined);
    await clock.advance(2000);
    expect(gate.opens('m', leaf('C'))).toBe(true);
  });
});
