import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type KubeClient, KubeError } from '../k8s/api/client.ts';
import type { AdmittedPod } from '../k8s/inject/pod.ts';
import { silentLogger } from '../lib/log.ts';
import { loadConfig } from './config.ts';
import { createPodInjector } from './pod-injector.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-injector-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const namespace = { metadata: { name: 'shop', labels: { 'kuma.io/sidecar-injection': 'enabled' } } };
const podWith = (annotations: Readonly<Record<string, string>>): AdmittedPod => ({
  metadata: { generateName: 'web-', annotations },
  spec: { containers: [{ name: 'web' }] },
});

/** Knows one ContainerPatch, in the system namespace; `broken` answers nothing. */
const client = {
  async get(type, { namespace, name }) {
    if (name === 'broken') throw new KubeError('unavailable', 'no answer');
    if (type.plural !== 'containerpatches' || namespace !== 'kong-mesh-system' || name !== 'big')
      throw new KubeError('not-found', `${type.plural} ${name} not found`);
    const sidecarPatch = [{ op: 'replace', path: '/resources/limits/cpu', value: '"4"' }];
    return { metadata: { name, namespace }, spec: { sidecarPatch } } as never;
  },
} satisfies Pick<KubeClient, 'get'>;

const injectorFor = (env: Readonly<Record<string, string>> = {}) =>
  createPodInjector({
    config: loadConfig({ env: { HOME: folder, KUMA_ENVIRONMENT: 'kubernetes', KUMA_STORE_TYPE: 'kubernetes', ...env } })
      .config,
    caPem: 'CA OF THE PORT\n',
    client,
    log: silentLogger,
  });

describe('createPodInjector', () => {
  it('gives Pods the address and the CA of this control plane, and the ContainerPatches they name', async () => {
    const inject = await injectorFor();
    const result = await inject(podWith({ 'kuma.io/container-patches': 'big' }), namespace);
    const text = JSON.stringify(result);
    expect(text).toContain('https://weft-control-plane.kong-mesh-system:5678');
    expect(text).toContain('CA OF THE PORT');
    expect(text).toContain('"limits":{"cpu":"4"');
  });

  it('refuses a Pod that names a ContainerPatch that is not there, and says nothing when it cannot know', async () => {
    const inject = await injectorFor();
    expect(await inject(podWith({ 'kuma.io/container-patches': 'small' }), namespace)).toMatchObject({
      kind: 'refused',
    });
    await expect(inject(podWith({ 'kuma.io/container-patches': 'broken' }), namespace)).rejects.toThrow('no answer');
  });

  it('takes the CA from a file', async () => {
    const file = join(folder, 'ca.pem');
    writeFileSync(file, 'CA OF THE FILE\n');
    const inject = await injectorFor({ KUMA_RUNTIME_KUBERNETES_INJECTOR_CA_CERT_FILE: file });
    expect(JSON.stringify(await inject(podWith({}), namespace))).toContain('CA OF THE FILE');
  });
});
