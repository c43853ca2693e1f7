/** The test that a plug-in has to pass: `contractTest` in a file of yours, run by `node --test` or, with `runner`, by vitest. */
import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { confViolations } from '../../src/ca/plugin/conf-schema.ts';
import { readPlugin } from '../../src/ca/plugin/descriptor.ts';
import { MAX_MESSAGE_BYTES } from '../../src/ca/plugin/wire.ts';
import { readNode } from '../../src/x509/certificate.ts';
import { parseCertificates } from '../../src/x509/chain.ts';
import { toPem } from '../../src/x509/pem.ts';
import { CONTRACT_CASES, type ContractSubject, type OpenSubject } from './contract-cases.ts';
import type { BackendContext, CaPlugin } from './plugin.ts';

/** What of a test runner is needed: `node:test` has it, and vitest with `globals` or by import. */
export interface TestRunner {
  describe(name: string, define: () => void): unknown;
  it(name: string, run: () => Promise<void>): unknown;
}

export interface ContractTestOptions<Conf> {
  /** A `conf` with which the plug-in works, as the plug-in gets it: texts where the Mesh has data sources. Asked for each test. */
  readonly conf: () => Conf | Promise<Conf>;
  /** Absent: `node:test`. */
  readonly runner?: TestRunner;
}

const MESH = 'default';
const CODES = ['unavailable', 'denied', 'invalid-request', 'not-configured', 'throttled', 'timeout', 'failed'];

/** Defines the tests; what they check is what Weft checks before it uses a plug-in and each of its answers. */
export function contractTest<Conf>(plugin: CaPlugin<Conf>, options: ContractTestOptions<Conf>): void {
  const { describe, it } = options.runner ?? nodeTest;
  const subject = pluginSubject(plugin, options.conf);
  describe(`${plugin.type} as a CA backend`, () => {
    it('is a plug-in that this version of Weft takes', async () => {
      readPlugin(plugin);
    });

    it('has a conf that its schema accepts, and refuses a field it does not know', async () => {
      const conf = await options.conf();
      assert.deepEqual(confViolations(plugin.confSchema, conf), []);
      const [violation] = confViolations(plugin.confSchema, { ...conf, aFieldThatNobodyKnows: 1 });
      assert.equal(violation?.field, 'aFieldThatNobodyKnows', 'additionalProperties: false is missing in confSchema');
      assert.deepEqual((await plugin.validate?.(conf, testContext())) ?? [], []);
    });

    it('refuses what is no certificate request, with a code', async () => {
      const backend = await plugin.open(await options.conf(), testContext());
      const uriSans = [`spiffe://${MESH}/web`];
      const request = { csrPem: 'no request', uriSans, lifetimeMs: 60_000, timeoutMs: 10_000, proxy: 'web-1' };
      await assert.rejects(backend.sign(request, new AbortController().signal), (error) => {
        const { code } = Object(error) as { readonly code?: unknown };
        assert.ok(CODES.includes(String(code)), `throw a CaFailure; the code was ${code}`);
        return true;
      });
      await backend.close?.();
    });

    for (const { title, run } of CONTRACT_CASES) it(title, () => run(subject));
  });
}

function pluginSubject<Conf>(plugin: CaPlugin<Conf>, conf: () => Conf | Promise<Conf>): ContractSubject {
  return {
    mesh: MESH,
    now: Date.now,
    async open(): Promise<OpenSubject> {
      const backend = await plugin.open(await conf(), testContext());
      return {
        async trustAnchors(signal) {
          const { pem } = travelled(await backend.trustAnchors(signal));
          const ends = parseCertificates(pem).map((der) => readNode(der).validToDate.getTime());
          return { pem, notAfter: Math.min(...ends) };
        },
        async sign(asked, signal) {
          const { uriSans, lifetimeMs } = asked;
          const csrPem = toPem('CERTIFICATE REQUEST', Buffer.from(await asked.csr()));
          const request = { csrPem, uriSans, lifetimeMs, timeoutMs: 10_000, proxy: 'web-1' };
          return travelled(await backend.sign(request, signal));
        },
        checkCancelled: (error) => assert.ok(error instanceof Error),
        close: async () => backend.close?.(),
      };
    },
  };
}

/** An answer as it arrives at the control plane. */
function travelled<T>(answer: T): T {
  const text = JSON.stringify(answer);
  assert.ok(
    text.length < MAX_MESSAGE_BYTES,
    `the answer is ${text.length} bytes long, ${MAX_MESSAGE_BYTES} is the most`,
  );
  assert.ok(!text.includes('PRIVATE KEY'), 'there is a private key in the answer');
  return JSON.parse(text) as T;
}

function testContext(): BackendContext {
  const quiet = () => {};
  return { mesh: MESH, backend: 'contract', log: { debug: quiet, info: quiet, warn: quiet, error: quiet } };
}
