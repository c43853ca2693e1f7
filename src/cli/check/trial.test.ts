import { expect, it } from 'vitest';
import type { Condition } from '../../k8s/api/object.ts';
import { outcomeOf } from './trial.ts';

const request = (certificate: string | undefined, ...conditions: readonly Condition[]) => ({
  metadata: { name: 'weft-check-1' },
  spec: {},
  status: { conditions, ...(certificate === undefined ? {} : { certificate }) },
});
const condition = (type: string, status: 'True' | 'False', reason = '', message = 'why'): Condition => ({
  type,
  status,
  reason,
  message,
});
const APPROVED = condition('Approved', 'True');

it.each([
  ['nothing yet', request(undefined), undefined],
  ['approved only', request(undefined, APPROVED), undefined],
  ['pending', request(undefined, APPROVED, condition('Ready', 'False', 'Pending')), undefined],
  ['issued', request('PEM', APPROVED, condition('Ready', 'True', 'Issued')), 'issued'],
  ['issued by a signer that asks nobody', request('PEM'), 'issued'],
  ['denied, and an external signer adds nothing', request(undefined, condition('Denied', 'True')), 'denied'],
  ['invalid', request(undefined, condition('InvalidRequest', 'True')), 'failed'],
  ['failed', request(undefined, APPROVED, condition('Ready', 'False', 'Failed')), 'failed'],
  ['denied after a certificate', request('PEM', condition('Denied', 'True')), 'denied'],
])('a request: %s', (_what, seen, kind) => {
  expect(outcomeOf(seen, 7)?.kind).toBe(kind);
});
