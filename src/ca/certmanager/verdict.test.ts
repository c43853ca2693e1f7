import { describe, expect, it } from 'vitest';
import type { Condition } from '../../k8s/api/object.ts';
import type { CertificateRequest } from './objects.ts';
import { verdictOf } from './verdict.ts';

const condition = (text: string): Condition => {
  const [type = '', status, reason = ''] = text.split(/[=/]/);
  return { type, status: status as Condition['status'], reason, message: 'why' };
};
const request = (conditions: string[], status: object = {}): CertificateRequest => ({
  metadata: { name: 'a' },
  spec: { request: '', issuerRef: { name: 'a', kind: 'Issuer', group: 'g' }, duration: '1h', usages: [] },
  status: { conditions: conditions.map(condition), ...status },
});
const certificate = Buffer.from('CERT').toString('base64');

describe('what a CertificateRequest says', () => {
  it.each<[string, string[], object, string]>([
    ['nothing', [], {}, 'unapproved'],
    ['approved only', ['Approved=True'], {}, 'pending'],
    ['denied, and nothing else, as external issuers do', ['Denied=True'], {}, 'denied'],
    ['denied on Ready', ['Ready=False/Denied'], {}, 'denied'],
    ['denied beats a certificate', ['Denied=True', 'Ready=True'], { certificate }, 'denied'],
    ['invalid without Ready', ['InvalidRequest=True'], {}, 'invalid'],
    ['failed', ['Approved=True', 'Ready=False/Failed'], {}, 'failed'],
    ['failed with a word of its own', ['Ready=False/Oops'], { failureTime: 'x' }, 'failed'],
    ['pending', ['Approved=True', 'Ready=False/Pending'], {}, 'pending'],
    ['pending before approval', ['Ready=False/Pending'], {}, 'pending'],
    ['Approved=False', ['Approved=False'], {}, 'unapproved'],
    ['Ready without a certificate', ['Ready=True'], {}, 'garbage'],
    ['a huge answer', ['Ready=True'], { certificate: 'A'.repeat(300_000) }, 'garbage'],
    ['issued', ['Approved=True', 'Ready=True'], { certificate, ca: certificate }, 'issued'],
    ['issued without Approved', ['Ready=True'], { certificate }, 'issued'],
    ['issued without any condition', [], { certificate }, 'issued'],
    ['a certificate while it is pending', ['Ready=False/Pending'], { certificate }, 'pending'],
  ])('%s', (_what, conditions, status, kind) => {
    expect(verdictOf(request(conditions, status)).kind).toBe(kind);
  });

  it('hands the texts over decoded, and messages cut', () => {
    expect(verdictOf(request(['Ready=True'], { certificate }))).toEqual({
      kind: 'issued',
      certificate: 'CERT',
      ca: '',
    });
    const long = { type: 'Denied', status: 'True', message: 'x'.repeat(5000) } as const;
    const verdict = verdictOf({ ...request([]), status: { conditions: [long] } });
    expect(verdict.kind === 'denied' && verdict.message.length).toBe(400);
  });
});
