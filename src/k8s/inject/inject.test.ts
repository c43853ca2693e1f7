import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { TEST_INJECTOR_SETTINGS } from '../../testing/injector-settings.ts';
import { type Injection, type InjectionResult, injectSidecar } from './inject.ts';
import type { AdmittedPod, PodContainer } from './pod.ts';
import type { InjectorSettings } from './settings.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');
const CASES = readdirSync(TESTDATA).flatMap((name) => /^(.*)\.in\.yaml$/.exec(name)?.[1] ?? []);

/** A case file. What it leaves out is as in `plain.in.yaml`. */
interface Case {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly sidecar?: Partial<InjectorSettings['sidecar']>;
  readonly settings?: Partial<InjectorSettings>;
  readonly containerPatches?: Readonly<Record<string, never>>;
}

const readCase = (name: string) => parse(readFileSync(join(TESTDATA, `${name}.in.yaml`), 'utf8')) as Case;
const plain = readCase('plain');

function injectionOf(given: Case): Injection {
  return {
    pod: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        generateName: 'web-',
        labels: { app: 'web', ...given.labels },
        ...(given.annotations && { annotations: given.annotations }),
      },
      spec: { ...plain.spec, ...given.spec },
    },
    namespace: {
      name: 'shop',
      labels: given.namespaceLabels ?? { 'kuma.io/sidecar-injection': 'enabled' },
      annotations: {},
    },
    settings: {
      ...TEST_INJECTOR_SETTINGS,
      ...given.settings,
      sidecar: { ...TEST_INJECTOR_SETTINGS.sidecar, ...given.sidecar },
    },
    containerPatches: new Map(Object.entries(given.containerPatches ?? {})),
  };
}

/** The whole Pod for `plain*`; else what is different from the plain one, path by path. Regenerate with `vitest -u`. */
describe('injectSidecar', () => {
  it.each(CASES)('%s', async (name) => {
    const given = readCase(name);
    const result = injectSidecar(injectionOf(given));
    const whole = name.startsWith('plain') || result.kind !== 'injected';
    const shown = whole ? result : { ...result, pod: differences(injectedPlain(given), result.pod) };
    await expect(stringify(shown, { lineWidth: 0 })).toMatchFileSnapshot(join(TESTDATA, `${name}.out.yaml`));
  });
});

/** The same Pod and settings without what the case says. */
function injectedPlain(given: Case): AdmittedPod {
  return podOf(injectSidecar(injectionOf({ spec: given.spec ?? {} })));
}

function podOf(result: InjectionResult): AdmittedPod {
  if (result.kind !== 'injected') throw new Error(JSON.stringify(result));
  return result.pod;
}

function differences(before: unknown, after: unknown, path = ''): Record<string, unknown> {
  if (JSON.stringify(before) === JSON.stringify(after)) return {};
  if (!isObject(before) || !isObject(after)) return { [path]: after === undefined ? 'gone' : after };
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const found = keys.map((key) => differences(before[key], after[key], path === '' ? key : `${path}.${key}`));
  return Object.assign({}, ...found);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && (!Array.isArray(value) || value.every(isNamed));
}

function isNamed(item: unknown): boolean {
  return typeof item === 'object' && item !== null && 'name' in item;
}

describe('properties', () => {
  const name = fc.stringMatching(/^[a-z]{1,8}$/);
  const probe = fc.oneof(
    fc.record({
      httpGet: fc.record({ port: fc.integer({ min: 1, max: 65535 }), path: fc.constantFrom('/', '/ready', 'x') }),
    }),
    fc.record({ tcpSocket: fc.record({ port: fc.integer({ min: 1, max: 65535 }) }) }),
    fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 65535 }), service: name }) }),
    fc.record({ exec: fc.record({ command: fc.constant(['true']) }) }),
  );
  const container = fc.record(
    {
      name,
      image: fc.string(),
      env: fc.array(fc.record({ name, value: fc.string() })),
      livenessProbe: probe,
      readinessProbe: probe,
      restartPolicy: fc.constant('Always'),
      securityContext: fc.record({ runAsUser: fc.integer({ min: 0, max: 6000 }) }),
    },
    { requiredKeys: ['name', 'image'] },
  ) as fc.Arbitrary<PodContainer>;
  const containers = fc.uniqueArray(container, { selector: (one) => one.name, maxLength: 4 });
  const pod = fc.record({
    metadata: fc.record({ name, labels: fc.dictionary(name, name), annotations: fc.dictionary(name, fc.string()) }),
    spec: fc.record(
      {
        containers,
        initContainers: containers,
        volumes: fc.uniqueArray(fc.record({ name, emptyDir: fc.constant({}) }), { selector: (one) => one.name }),
        nodeSelector: fc.dictionary(name, name),
        terminationGracePeriodSeconds: fc.integer({ min: 0, max: 60 }),
      },
      { requiredKeys: ['containers'] },
    ),
  }) as fc.Arbitrary<AdmittedPod>;
  const base = injectionOf({});
  const settings = fc.constantFrom(true, false).map((native) => injectionOf({ sidecar: { native } }).settings);

  it('injecting what was injected changes nothing', () => {
    fc.assert(
      fc.property(pod, settings, (given, settings) => {
        const once = podOf(injectSidecar({ ...base, settings, pod: given }));
        expect(podOf(injectSidecar({ ...base, settings, pod: once }))).toEqual(once);
      }),
    );
  });

  it('drops nothing of the user, and changes nothing but how probes ask', () => {
    fc.assert(
      fc.property(pod, settings, (given, settings) => {
        const { metadata, spec } = podOf(injectSidecar({ ...base, settings, pod: given }));
        expect(metadata).toMatchObject(given.metadata!);
        const ours = (list: readonly { name: string }[] = []) => list.filter((one) => !one.name.startsWith('kuma-'));
        expect(ours(spec!.volumes)).toEqual(given.spec!.volumes ?? []);
        const { containers, initContainers = [], volumes, ...rest } = given.spec!;
        expect(spec).toMatchObject(rest);
        expect(ours(spec!.containers).map(withoutTarget)).toEqual(containers!.map(withoutTarget));
        expect(ours(spec!.initContainers).map(withoutTarget)).toEqual(initContainers.map(withoutTarget));
      }),
    );
  });

  function withoutTarget(one: { name: string }): unknown {
    return JSON.parse(
      JSON.stringify(one, (key, value) => (['httpGet', 'tcpSocket', 'grpc'].includes(key) ? undefined : value)),
    );
  }
});
