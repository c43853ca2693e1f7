import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CHART, helmProgram, missingHelm, PROJECT } from './helm.ts';

const missing = missingHelm();
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(`helm: ${missing}`);

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

const VALUES = join(import.meta.dirname, 'testdata/values.yaml');

describe.skipIf(missing !== undefined)(`the Helm chart${missing === undefined ? '' : ` (${missing})`}`, () => {
  let program = '';
  // The first time Helm is built.
  beforeAll(async () => {
    program = await helmProgram();
  }, 900_000);

  const helm = (...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const refusal = (...args: string[]) =>
    spawnSync(program, ['template', 'weft', CHART, ...args], { encoding: 'utf8' }).stderr;
  const weft = (...args: string[]) =>
    execFileSync(process.execPath, [join(PROJECT, 'src/bin/weft.ts'), 'install', 'control-plane', ...args], {
      encoding: 'utf8',
    });

  it('has nothing that lint complains about', () => {
    expect(helm('lint', CHART, '--strict')).toContain('1 chart(s) linted, 0 chart(s) failed');
  });

  it('gives the objects that weft install gives', () => {
    const chart = objectsOf(helm('template', 'weft', CHART, '--namespace', 'kong-mesh-system'));
    expect(objectsOf(weft('--set', 'namespace.create=false'))).toEqual(chart);
    expect([...chart.keys()]).toContain('Deployment/weft-control-plane');
  });

  it('gives the same objects for every value at another than its default', () => {
    const chart = objectsOf(helm('template', 'any', CHART, '--namespace', 'other', '--values', VALUES));
    expect(objectsOf(weft('--namespace', 'other', '--values', VALUES))).toEqual(chart);
    expect([...chart.keys()]).toEqual(expect.arrayContaining(['Namespace/other', 'ServiceMonitor/weft-control-plane']));
  });

  it('keeps CRDs, unless told otherwise', () => {
    const crds = (...args: string[]) =>
      manifestsOf(helm('template', 'weft', CHART, ...args)).filter(({ kind }) => kind === 'CustomResourceDefinition');
    const policies = (...args: string[]) =>
      new Set(crds(...args).map(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy']));
    expect(policies()).toEqual(new Set(['keep']));
    expect(policies('--set', 'crds.keep=false')).toEqual(new Set([undefined]));
    expect(crds('--set', 'crds.enabled=false')).toEqual([]);
  });

  it.each([
    ['controlPlane.replica=1', "at '/controlPlane': additional properties 'replica' not allowed"],
    ['controlPlane.replicas=many', "at '/controlPlane/replicas': got string, want integer"],
    ['controlPlane.replicas=null', "at '/controlPlane': missing property 'replicas'"],
    ['controlPlane.logLevel=loud', "at '/controlPlane/logLevel': value must be one of"],
    ['controlPlane.envVars.A=1', "at '/controlPlane/envVars/A': got number, want string"],
    ['controlPlane.extraSecrets[0].name=x', "at '/controlPlane/extraSecrets/0': missing property 'mountPath'"],
    ['crds=false', "at '/crds': got boolean, want object"],
  ])('refuses %s by name', (value, message) => {
    expect(refusal('--set', value)).toContain(message);
  });
});

function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: '1.1' })
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** Objects by kind and name, without what only Helm reads. */
function objectsOf(text: string): ReadonlyMap<string, Manifest> {
  const entries = manifestsOf(text).map((manifest): [string, Manifest] => {
    const { annotations = {}, ...metadata } = manifest.metadata;
    const { 'helm.sh/resource-policy': _policy, ...others } = annotations;
    const own = Object.keys(others).length > 0 ? { annotations: others } : {};
    return [`${manifest.kind}/${metadata.name}`, { ...manifest, metadata: { ...metadata, ...own } }];
  });
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
