import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One request to the API server (audit.k8s.io/v1 Event, metadata only). */
export interface AuditEvent {
  /** As RBAC names it: get, list, watch, create, … */
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string; readonly groups?: readonly string[] };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
}

/** The audit log of a cluster: every request that has been answered, and every watch that was begun. */
export interface AuditLog {
  readonly path: string;
  /** Everything so far, oldest first. */
  events(): readonly AuditEvent[];
}

/** Flags that make kube-apiserver write the log, one line before it answers, and the log itself. */
export function createAuditLog(directory: string): { readonly flags: readonly string[]; readonly log: AuditLog } {
  const path = join(directory, 'audit.jsonl');
  const policy = join(directory, 'audit-policy.json');
  const rules = [{ level: 'Metadata', omitManagedFields: true }];
  writeFileSync(
    policy,
    JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules }),
  );
  writeFileSync(path, '', { mode: 0o600 });
  return {
    flags: [
      `--audit-policy-file=${policy}`,
      `--audit-log-path=${path}`,
      '--audit-log-mode=blocking',
      '--audit-log-maxsize=100000',
    ],
    log: {
      path,
      // JSON lines of the API server's own type; a line that is being written has no end yet.
      events: () =>
        readFileSync(path, 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as AuditEvent),
    },
  };
}
