import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { finding, ok, skip } from './finding.ts';
import { checksReference } from './reference.ts';
import { buildReport, reportJsonSchema, reportSchema } from './report.ts';
import { reportText } from './report-text.ts';

const head = { environment: 'kubernetes', target: 'https://server', namespace: 'ns', now: 0 } as const;
const good = [ok('crds-present', 'all are there'), ok('kubernetes-api', 'answers'), skip('ca-valid', 'no CA')];
const bad = finding('issuer-ready', 'fail', 'it is\n not ready', { subject: 'mesh default, backend b', hint: 'a\nb' });
const warning = finding('clock', 'warn', 'the clock is wrong');

describe('buildReport', () => {
  it('orders by group, counts, and has the shape of the schema', () => {
    const report = buildReport(head, [...good, bad]);
    expect(reportSchema.parse(report)).toEqual(report);
    expect(report.checks.map(({ id }) => id)).toEqual(['kubernetes-api', 'crds-present', 'issuer-ready', 'ca-valid']);
    expect(report.counts).toEqual({ ok: 2, warn: 0, fail: 1, skip: 1 });
    expect(report.checks[2]).toMatchObject({
      message: 'it is not ready',
      docs: 'docs/reference/checks.md#issuer-ready',
    });
  });

  it.each([
    ['ok', good],
    ['warn', [...good, warning]],
    ['fail', [...good, warning, bad]],
    ['unchecked', [finding('kubernetes-api', 'fail', 'silent')]],
  ])('is %s', (outcome, findings) => {
    expect(buildReport(head, findings).outcome).toBe(outcome);
  });
});

describe('reportText', () => {
  it('is a line per group when all is well', () => {
    expect(reportText(buildReport(head, good), { verbose: false, colour: false })).toBe(
      [
        'https://server, namespace ns',
        '✓ Kubernetes API server',
        '✓ Definitions of our resources',
        '- CAs of meshes: no CA',
        '',
        '2 ok, 1 skipped',
        '',
      ].join('\n'),
    );
  });

  it('has reason, fix and page for what is not', () => {
    expect(reportText(buildReport(head, [bad, warning]), { verbose: false, colour: false })).toContain(
      [
        '✗ Issuers of meshes',
        '  ✗ issuer-ready (mesh default, backend b): it is not ready',
        '      a',
        '      b',
        '      see docs/reference/checks.md#issuer-ready',
        '',
        '0 ok, 1 warning, 1 failed',
      ].join('\n'),
    );
  });

  it('shows everything when asked to', () => {
    const text = reportText(buildReport(head, good), { verbose: true, colour: true });
    expect(text).toContain('  \u001b[32m✓\u001b[39m crds-present: all are there');
  });
});

it('is documented as it is; print anew with `node scripts/generate-docs.ts`', () => {
  const read = (name: string) => readFileSync(new URL(`../../../docs/reference/${name}`, import.meta.url), 'utf8');
  expect(read('checks.md')).toBe(checksReference());
  expect(JSON.parse(read('check-report.schema.json'))).toEqual(reportJsonSchema());
});
