import { expect, it } from 'vitest';
import { isDistrusted, type MeshDistrust, NO_DISTRUST } from './distrust.ts';
import type { HeldLeaf } from './identity.ts';

const leaf = {
  serial: '0a',
  backend: 'ca-1',
  issuedAt: 1000,
  uriSans: ['spiffe://m/web', 'spiffe://m/admin'],
} as unknown as HeldLeaf;

it.each<[string, Partial<MeshDistrust>, boolean]>([
  ['nothing', {}, false],
  ['its serial', { leaves: [{ serial: '0a', backend: 'ca-1', at: 0 }] }, true],
  ['this serial of another CA', { leaves: [{ serial: '0a', backend: 'ca-2', at: 0 }] }, false],
  ['one of its services, later', { services: [{ service: 'admin', before: 1001 }] }, true],
  ['its service, before it was issued', { services: [{ service: 'web', before: 1000 }] }, false],
  ['a service whose name begins as its own', { services: [{ service: 'we', before: 9999 }] }, false],
  ['its backend', { backends: ['ca-1'] }, true],
  ['clients of its service', { denied: ['web'] }, false],
])('distrusted %s: the proxy needs another leaf: %j %s', (_what, distrust, expected) => {
  expect(isDistrusted({ ...NO_DISTRUST, ...distrust }, 'm', leaf)).toBe(expected);
});
