/**
 * What the fault matrix must have: rows of the reliability list (F) and of the security list (S). The cases themselves are tests, in the files named here;
 * a test belongs to the row that its name begins with: `F4 vault: hang takes no leaf away`.
 */
export interface ExpectedRow {
  readonly id: string;
  /** What is put to the test: the kind of CA backend, `all`, or a part of the program. */
  readonly of: string;
  /** How many tests there must be at least. */
  readonly cases: number;
  readonly files: readonly string[];
}

/** What must hold for a row to pass, by its id. */
export const PASS_LINES: Readonly<Record<string, string>> = {
  F4: 'issuer fails in 8 ways: every leaf stays, reason in state and metric, few calls, one success heals all',
  F5: 'issuer answers with 15 kinds of garbage: never held, no good leaf replaced; no memory for 50 MB',
  F6: 'throttled, in progress, not fetched, killed between the calls: each certificate paid once, <= 1.05 calls',
  F7: 'request denied, failed, deleted, changed, not approved, cert-manager gone: said at once, no loop of requests',
  F8: 'the CA changes under traffic: 0 failed',
  F9: 'the CA ends, or is taken away: the next one in time, no leaf outlives its CA; refused with the field',
  F10: 'the clock steps by 10 min, 1 h, a year: no leaf expires, no storm',
  F11: '1000 proxies, T = 60 s, 10 T, 3 restarts: 0 expired, peak/mean <= 2',
  S5: 'metadata, loopback, redirects, rebinding, files outside the allowed folders: refused by default',
  S6: '12 secrets in all that a control plane says, at debug level, while issuers tell what they know: 0 hits',
};

const CERT_MANAGER = 'tests/integration/kubernetes/cert-manager-faults.test.ts';

export const ROWS: readonly ExpectedRow[] = [
  { id: 'F4', of: 'vault', cases: 8, files: ['tests/integration/vault/faults.test.ts'] },
  { id: 'F4', of: 'acmpca', cases: 8, files: ['tests/integration/acmpca-faults.test.ts'] },
  { id: 'F4', of: 'certmanager', cases: 8, files: [CERT_MANAGER] },
  { id: 'F5', of: 'vault', cases: 16, files: ['tests/integration/vault/faults.test.ts'] },
  { id: 'F5', of: 'acmpca', cases: 16, files: ['tests/integration/acmpca-faults.test.ts'] },
  { id: 'F5', of: 'certmanager', cases: 15, files: [CERT_MANAGER] },
  {
    id: 'F6',
    of: 'acmpca',
    cases: 6,
    files: ['tests/integration/acmpca-faults.test.ts', 'tests/e2e/acmpca.test.ts'],
  },
  {
    id: 'F7',
    of: 'certmanager',
    cases: 8,
    files: [
      CERT_MANAGER,
      'tests/integration/kubernetes/cert-manager.test.ts',
      'tests/integration/kubernetes/cert-manager-missing.test.ts',
    ],
  },
  { id: 'F8', of: 'all', cases: 1, files: ['tests/e2e/ca-change.test.ts'] },
  {
    id: 'F9',
    of: 'builtin',
    cases: 2,
    files: ['tests/integration/ca-at-its-end.test.ts', 'src/control-plane/ca-rotation/ca-rotations.test.ts'],
  },
  { id: 'F9', of: 'all', cases: 1, files: ['tests/integration/ca-at-its-end.test.ts'] },
  { id: 'F10', of: 'all', cases: 6, files: ['src/identity/clock-steps.test.ts'] },
  { id: 'F11', of: 'all', cases: 1, files: ['tests/integration/rotation-storm.test.ts'] },
  { id: 'S5', of: 'egress', cases: 8, files: ['src/ca/egress.test.ts'] },
  { id: 'S5', of: 'files', cases: 11, files: ['src/ca/file-reader.test.ts'] },
  { id: 'S6', of: 'all', cases: 14, files: ['tests/e2e/canaries.test.ts'] },
];
