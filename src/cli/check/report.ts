/** The whole answer of `weft check`, and its schema. Pure. */
import { z } from 'zod';
import { CHECKS, type CheckId, docsOf, GROUPS } from './catalogue.ts';
import type { Finding, Outcome } from './finding.ts';

const outcome = z.enum(['ok', 'warn', 'fail', 'skip']);

/** Shape of `weft check -o json`. Fields may be added, none is renamed or removed. */
export const reportSchema = z.strictObject({
  version: z.literal(1),
  environment: z.enum(['kubernetes', 'universal']).describe('What was looked at'),
  target: z.string().describe('URL of the API server, or of the API of the control plane'),
  namespace: z.string().optional().describe('Kubernetes: namespace of the control plane'),
  at: z.iso.datetime().describe("When, by the server's clock where it could be read"),
  outcome: z
    .enum(['ok', 'warn', 'fail', 'unchecked'])
    .describe('The worst of all; unchecked: the server did not answer'),
  counts: z.strictObject({ ok: z.int(), warn: z.int(), fail: z.int(), skip: z.int() }),
  checks: z.array(
    z.strictObject({
      id: z.enum(Object.keys(CHECKS) as [CheckId, ...CheckId[]]),
      group: z.enum(Object.keys(GROUPS) as [keyof typeof GROUPS, ...(keyof typeof GROUPS)[]]),
      subject: z.string().optional().describe('Which one, for a check that looks at several things'),
      outcome,
      message: z.string().describe('One line'),
      hint: z.string().optional().describe('What to do: commands or a manifest'),
      docs: z.string().describe('File and anchor in this repository'),
    }),
  ),
});

export type CheckReport = z.infer<typeof reportSchema>;

export interface ReportHead {
  readonly environment: CheckReport['environment'];
  readonly target: string;
  readonly namespace?: string;
  /** Epoch ms. */
  readonly now: number;
}

/** Puts findings in order of their groups and counts them. */
export function buildReport(head: ReportHead, findings: readonly Finding[]): CheckReport {
  const order = Object.keys(GROUPS);
  const checks = findings
    .map(({ id, subject, outcome, message, hint }) => ({
      id,
      group: CHECKS[id].group,
      ...(subject === undefined ? {} : { subject }),
      outcome,
      message,
      ...(hint === undefined ? {} : { hint }),
      docs: docsOf(id),
    }))
    .sort((one, other) => order.indexOf(one.group) - order.indexOf(other.group));
  const count = (wanted: Outcome) => checks.filter(({ outcome }) => outcome === wanted).length;
  const counts = { ok: count('ok'), warn: count('warn'), fail: count('fail'), skip: count('skip') };
  const unreached = checks.some(({ id, outcome }) => outcome === 'fail' && UNREACHED.has(id));
  return {
    version: 1,
    environment: head.environment,
    target: head.target,
    ...(head.namespace === undefined ? {} : { namespace: head.namespace }),
    at: new Date(head.now).toISOString(),
    outcome: unreached ? 'unchecked' : counts.fail > 0 ? 'fail' : counts.warn > 0 ? 'warn' : 'ok',
    counts,
    checks,
  };
}

/** Without these nothing was checked at all. */
const UNREACHED: ReadonlySet<CheckId> = new Set<CheckId>(['kubernetes-api', 'api-reachable']);

/** JSON Schema of the report, for `docs/reference/check-report.schema.json`. */
export function reportJsonSchema(): object {
  return z.toJSONSchema(reportSchema);
}
