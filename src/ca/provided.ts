/** `provided`, a Kuma backend: certificate and key of the CA are given by the operator. */
import { validateDataSource } from '../resources/kinds/data-source.ts';
import type { Violation } from '../resources/resource.ts';
import { type BackendConfig, type CaBackendKind, type CaDependencies, CaError } from './backend.ts';
import { readLeafKeyType } from './conf.ts';
import { loadDataSource, secretOf } from './data-source.ts';
import { caViolations, readKeyPair } from './key-pair.ts';
import { createLocalBackend } from './local-backend.ts';
import type { LocalCa } from './local-signer.ts';

export const providedCa: CaBackendKind = {
  type: 'provided',
  limits: { concurrency: 4 },
  local: true,

  async validate(config, path, deps) {
    const violations: Violation[] = [];
    for (const name of ['cert', 'key'] as const) {
      const source = config.conf[name];
      if (source === undefined || source === null)
        violations.push({ field: `${path}.${name}`, message: 'has to be defined' });
      else violations.push(...validateDataSource(source, `${path}.${name}`));
    }
    readLeafKeyType(config.conf, path, violations);
    if (violations.length > 0) return violations;
    try {
      const { cert, key } = await loadPair(config, deps);
      return await caViolations(cert, key, `${path}.cert`, deps.now());
    } catch (error) {
      const message = error instanceof Error ? error.message : 'could not load data';
      return [
        { field: `${path}.cert`, message },
        { field: `${path}.key`, message },
      ];
    }
  },

  usedSecrets: ({ conf }) => [secretOf(conf['cert']), secretOf(conf['key'])].filter((name) => name !== undefined),

  open: (config, deps) => createLocalBackend(() => load(config, deps), deps),
};

async function loadPair(config: BackendConfig, deps: CaDependencies): Promise<{ cert: Buffer; key: Buffer }> {
  const key = await loadDataSource(config.mesh, config.conf['key'], deps);
  const cert = await loadDataSource(config.mesh, config.conf['cert'], deps);
  return { cert, key };
}

async function load(config: BackendConfig, deps: CaDependencies): Promise<LocalCa> {
  try {
    const { cert, key } = await loadPair(config, deps);
    const { certificates, keys } = await readKeyPair(cert, key);
    return { mesh: config.mesh, name: config.name, certificates, key: keys.privateKey };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'cannot be read';
    throw new CaError(
      'not-configured',
      `open provided backend "${config.name}" of mesh "${config.mesh}": ${reason}; correct its conf.cert and conf.key`,
    );
  }
}
