import { CERTIFICATE_REQUEST, type CertificateRequest } from '../../ca/certmanager/objects.ts';
import { type KubeClient, KubeError } from '../../k8s/api/client.ts';
import { createListWatch } from '../../k8s/api/create-list-watch.ts';
import type { Condition } from '../../k8s/api/object.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { inspectCsr } from '../../x509/csr.ts';
import { parsePem } from '../../x509/pem.ts';
import { badAnswers, createSignAnswer, type SignAnswer } from '../bad-answers.ts';
import { createTestCa, type TestCertificate } from '../certificates.ts';

/** `status` of a CertificateRequest as an issuer writes it; certificates as PEM text here. */
export interface FakeStatus {
  readonly conditions?: readonly Condition[];
  readonly certificate?: string;
  readonly ca?: string;
  readonly failureTime?: string;
}

/** What an issuer does with one request: the statuses it writes, in order. */
export type IssuerBehaviour = (
  request: CertificateRequest,
  sign: SignAnswer,
  ca: TestCertificate,
) => Promise<readonly FakeStatus[]>;

/** An issuer's controller that answers CertificateRequests, well or badly, on a real or a fake API server. */
export interface FakeIssuer {
  behaviour: IssuerBehaviour;
  ca: TestCertificate;
  /** Names of the requests seen so far. */
  readonly seen: ReadonlySet<string>;
  /** Why statuses could not be written. */
  readonly refusals: readonly string[];
  close(): Promise<void>;
}

const condition = (type: string, status: Condition['status'], reason: string, message = ''): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: new Date().toISOString().replace(/\.\d+/, ''),
});

const approved = () => condition('Approved', 'True', 'fake.example', 'approved by a fake');
const ready = () => condition('Ready', 'True', 'Issued', 'signed by a fake');
/** An approver's yes; the signer is somebody else. */
export const approval = (): FakeStatus => ({ conditions: [approved()] });
export const denied = (): FakeStatus => ({ conditions: [condition('Denied', 'True', 'Policy', 'not for you')] });
export const invalid = (): FakeStatus => ({
  conditions: [condition('InvalidRequest', 'True', 'Policy', 'no such usage')],
});
export const failed = (): FakeStatus => ({
  conditions: [approved(), condition('Ready', 'False', 'Failed', 'the upstream said no')],
  failureTime: new Date().toISOString().replace(/\.\d+/, ''),
});
export const pending = (reason = 'Pending', message = 'waiting'): FakeStatus => ({
  conditions: [approved(), condition('Ready', 'False', reason, message)],
});
export const issued = (certificate: string, ca?: string): FakeStatus => ({
  conditions: [approved(), ready()],
  certificate,
  ...(ca === undefined ? {} : { ca }),
});

/** Approves, signs, names its CA. */
export const wellBehaved: IssuerBehaviour = async (_request, sign, ca) => [issued((await sign()).pem, ca.pem)];

/** The garbage of the reliability matrix (F5), each as the status an issuer would write. `true`: what is usable of it is used. */
export const garbage: readonly (readonly [string, IssuerBehaviour, boolean?])[] = badAnswers.map(
  ({ name, certificate, usable }) => [
    name,
    async (request, sign, ca) => {
      const pem = await certificate({ uriSans: await urisOf(request), sign, ca });
      return [pem === '' ? { conditions: [approved(), ready()] } : issued(pem, ca.pem)];
    },
    usable,
  ],
);

async function csrOf(request: CertificateRequest): Promise<{ uriSans: string[]; publicKey: Buffer }> {
  const pem = Buffer.from(request.spec.request, 'base64').toString('utf8');
  return inspectCsr(parsePem(pem)[0]!.der);
}

async function urisOf(request: CertificateRequest): Promise<readonly string[]> {
  return (await csrOf(request)).uriSans.filter((san) => !san.startsWith('dns:'));
}

/** Answers the requests for issuers of `group` in `namespace`. */
export async function startFakeIssuer(options: {
  client: KubeClient;
  namespace: string;
  group: string;
  ca?: TestCertificate;
  behaviour?: IssuerBehaviour;
}): Promise<FakeIssuer> {
  const { client, namespace, group } = options;
  const seen = new Set<string>();
  const refusals: string[] = [];
  const work = new Set<Promise<void>>();
  const requests = createListWatch<CertificateRequest>({
    client,
    type: CERTIFICATE_REQUEST,
    namespace,
    clock: systemClock,
    random: Math.random,
    log: silentLogger,
  });
  const issuer = {
    behaviour: options.behaviour ?? wellBehaved,
    ca: options.ca ?? (await createTestCa()),
    seen,
    refusals,
    async close() {
      await requests.close();
      await Promise.allSettled(work);
    },
  };

  async function answer(request: CertificateRequest): Promise<void> {
    const { uriSans, publicKey } = await csrOf(request);
    const sign = createSignAnswer(issuer.ca, {
      uriSans: uriSans.filter((san) => !san.startsWith('dns:')),
      dnsSans: uriSans.filter((san) => san.startsWith('dns:')).map((san) => san.slice(4)),
      lifetimeMs: Number.parseInt(request.spec.duration, 10) * 1000,
      publicKey,
    });
    for (const status of await issuer.behaviour(request, sign, issuer.ca)) await write(request.metadata.name, status);
  }

  /** An approver may write at the same time: its condition stays as it is. */
  async function write(name: string, status: FakeStatus): Promise<void> {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    for (let attempt = 0; ; attempt += 1) {
      const { status: present } = await client.get<CertificateRequest>(CERTIFICATE_REQUEST, { namespace, name });
      const kept = present?.conditions?.filter(({ type }) => type === 'Approved') ?? [];
      const added = (status.conditions ?? []).filter(({ type }) => !kept.some((one) => one.type === type));
      const next = {
        conditions: [...kept, ...added],
        ...(status.certificate === undefined ? {} : { certificate: base64(status.certificate) }),
        ...(status.ca === undefined ? {} : { ca: base64(status.ca) }),
        ...(status.failureTime === undefined ? {} : { failureTime: status.failureTime }),
      };
      try {
        await client.patch(
          CERTIFICATE_REQUEST,
          { namespace, name },
          { status: next },
          { as: 'merge', subresource: 'status' },
        );
        return;
      } catch (error) {
        if (attempt === 5 || (error instanceof KubeError && error.code === 'not-found')) throw error;
      }
    }
  }

  function see(request: CertificateRequest): void {
    if (request.spec.issuerRef.group !== group || seen.has(request.metadata.name)) return;
    seen.add(request.metadata.name);
    // A request that is deleted meanwhile cannot be answered.
    const one = answer(request).catch((error: unknown) => void refusals.push(String(error)));
    work.add(one);
    void one.finally(() => work.delete(one));
  }

  requests.subscribe((event) => {
    if (event.op === 'upsert') see(event.object);
  });
  await requests.synced;
  for (const request of requests.items()) see(request);
  return issuer;
}
