/**
 * P2, certificates through AWS Private CA at its quota: `node tests/bench/acmpca.ts`. The fake (`src/testing/fakes/acm-pca.ts`) allows so many calls a second and refuses the others, as AWS does.
 *
 * | setting | meaning | default |
 * | --- | --- | --- |
 * | `N` | certificates, by comma | 250,1000 |
 * | `QUOTA` | IssueCertificate a second that the fake allows; GetCertificate three times that | 25 |
 * | `PENDING` | so often a certificate is not ready yet | 1 |
 * | `SHARED` | calls a second that somebody else takes from the same quota | 0 |
 *
 * `paid`: certificates made for each one wanted. `asked`: IssueCertificate calls for each, refused ones too. `ideal`: N / QUOTA.
 */
import { acmPcaCa } from '../../src/ca/acmpca/backend.ts';
import { createEgress } from '../../src/ca/egress.ts';
import { createCaDependencies, createMemoryPending } from '../../src/testing/ca-contract.ts';
import { FAKE_CREDENTIALS, startFakeAcmPca } from '../../src/testing/fakes/acm-pca.ts';
import { createIssuanceWorld } from '../../src/testing/issuance-world.ts';

const given = Object.fromEntries(process.argv.slice(2).map((each) => each.split('=', 2) as [string, string]));
const setting = (name: string, otherwise: string): string => given[name] ?? process.env[name] ?? otherwise;
const quota = Number(setting('QUOTA', '25'));
const pending = Number(setting('PENDING', '1'));
const shared = Number(setting('SHARED', '0'));

async function measure(n: number): Promise<readonly string[]> {
  const fake = await startFakeAcmPca();
  fake.quota = { issue: quota, fetch: 3 * quota };
  fake.inProgress = pending;
  const others = shared > 0 ? setInterval(() => fake.takeIssue(), 1000 / shared) : undefined;
  const { accessKeyId, secretAccessKey } = FAKE_CREDENTIALS;
  const world = await createIssuanceWorld({
    kind: acmPcaCa,
    deps: createCaDependencies({
      egress: createEgress({ allowedEndpoints: ['127.0.0.1'] }),
      pending: createMemoryPending(),
    }),
  });
  world.use({
    arn: fake.arn,
    endpoint: fake.endpoint,
    auth: {
      awsCredentials: { accessKey: { inlineString: accessKeyId }, accessKeySecret: { inlineString: secretAccessKey } },
    },
  });
  const all = Promise.withResolvers<void>();
  let issued = 0;
  world.identity.subscribe((event) => {
    if (event.kind === 'leaf' && ++issued === n) all.resolve();
  });
  const before = { at: performance.now(), cpu: process.cpuUsage() };
  for (let index = 0; index < n; index += 1) world.want(`web-${index}`);
  await all.promise;
  const seconds = (performance.now() - before.at) / 1000;
  const { user, system } = process.cpuUsage(before.cpu);
  clearInterval(others);
  const failures = world.events.filter(({ kind }) => kind === 'failure').length;
  const per = (action: string) => ((fake.calls.get(action) ?? 0) / n).toFixed(3);
  await world.close();
  const row = [
    String(n),
    `${seconds.toFixed(1)} s`,
    (seconds / (n / quota)).toFixed(2),
    (fake.paid / n).toFixed(3),
    per('IssueCertificate'),
    per('GetCertificate'),
    String(failures),
    `${((user + system) / 1000 / n).toFixed(1)} ms`,
  ];
  await fake.close();
  return row;
}

const print = (cells: readonly string[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`);
const header = ['N', 'time', 'time / ideal', 'paid', 'asked', 'fetched', 'failures', 'CPU each (fake included)'];
print(header);
print(header.map(() => '---'));
for (const n of setting('N', '250,1000').split(',').map(Number)) print(await measure(n));
