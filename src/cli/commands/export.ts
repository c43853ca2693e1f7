/** `weft export`: resources that can be applied to another control plane. Source: Kuma 2.11-2.14 `kumactl export`, compatibility reference 9. */
import { asJson, asList, asText, fetchJson, type Json } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { fetchList } from '../api/lists.ts';
import { fetchResourceTypes, pathOf, type ResourceType } from '../api/resource-types.ts';
import { flagOption, type Invocation, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { formatOf, yamlText } from '../output/print.ts';

type Profile = 'all' | 'federation' | 'federation-with-policies' | 'no-dataplanes';

export async function run(invocation: Invocation): Promise<void> {
  // commander let only the four through.
  const profile = (textOption(invocation, 'profile') ?? 'federation') as Profile;
  const kubernetes = textOption(invocation, 'format') === 'kubernetes';
  const client = await openClient(invocation);
  const types = (await fetchResourceTypes(client)).filter((type) =>
    belongs(type, profile, flagOption(invocation, 'includeAdmin')),
  );
  const found: Exported[] = [];
  for (const type of types) {
    if (invocation.io.interactive) invocation.io.stderr(`\rexport: ${type.plural || type.path}\u001b[K`);
    const { items } = await fetchList(
      client,
      { path: pathOf(type, undefined), doing: `export ${type.path}` },
      invocation.io,
    );
    found.push(...items.filter((item) => !staysBehind(type, item)).map((item) => ({ type, item })));
  }
  if (invocation.io.interactive) invocation.io.stderr('\r\u001b[K');
  const ordered = found
    .sort((a, b) => rank(a) - rank(b))
    .map(({ type, item }) => ({ type, item: prepared(type, item, profile) }));
  const objects: Json[] = [];
  for (const one of ordered) {
    const object = kubernetes
      ? await kubernetesForm(client, one, profile, textOption(invocation, 'systemNamespace') ?? 'kuma-system')
      : one.item;
    if (object !== undefined) objects.push(object);
  }
  await write(invocation, await originComment(client), objects);
}

/** Where an export comes from, as a comment on its first line. */
async function originComment(client: ApiClient): Promise<string> {
  const about = await fetchJson(client, { method: 'GET', path: [], doing: 'export' });
  const facts = ['product', 'version', 'hostname', 'clusterId', 'instanceId'].map(
    (key) => `${key.charAt(0).toUpperCase()}${key.slice(1)}: ${asText(about[key])}`,
  );
  return `# ${facts.join(', ')}\n`;
}

interface Exported {
  readonly type: ResourceType;
  readonly item: Json;
}

const isFederation = (profile: Profile) => profile === 'federation' || profile === 'federation-with-policies';
const isSecret = (type: ResourceType) => type.name === 'Secret' || type.name === 'GlobalSecret';

function belongs(type: ResourceType, profile: Profile, includeAdmin: boolean): boolean {
  if (isSecret(type) && !isFederation(profile) && !includeAdmin) return false;
  switch (profile) {
    case 'all':
      return true;
    case 'federation':
      return type.includeInFederation && type.targetRefPolicy !== true && type.name !== 'MeshGateway';
    case 'federation-with-policies':
      return type.includeInFederation;
    case 'no-dataplanes':
      return type.name !== 'Dataplane' && type.name !== 'DataplaneInsight';
  }
}

/** Each control plane has its own of these: another one's would break TLS between instances and to proxies. */
const OWN_SECRETS = ['control-plane-ca', 'envoy-admin-ca', 'inter-cp-ca'];

function staysBehind(type: ResourceType, item: Json): boolean {
  return type.name === 'GlobalSecret' && OWN_SECRETS.includes(asText(item['name']));
}

/** Meshes first, since the rest is in them; keys of user tokens last, since applying them ends the validity of the token in use. */
function rank({ type, item }: Exported): number {
  if (type.name === 'Mesh') return 0;
  if (type.name === 'Secret') return 1;
  if (type.name !== 'GlobalSecret') return 2;
  return asText(item['name']).startsWith('user-token-signing-key') ? 4 : 3;
}

function prepared(type: ResourceType, item: Json, profile: Profile): Json {
  const { labels, ...rest } = item;
  const kept = Object.entries(asJson(labels)).filter(([key]) => !(isFederation(profile) && key === 'kuma.io/origin'));
  const plain = kept.length === 0 ? rest : { ...rest, labels: Object.fromEntries(kept) };
  return type.name === 'Mesh' ? withProvidedCas(plain) : plain;
}

/**
 * A builtin CA becomes a provided one that stands on the very same key, so that leaves of both control planes verify against each other.
 * The mesh is not checked on apply, because its secrets come after it.
 */
function withProvidedCas(mesh: Json): Json {
  const skip = { skipCreatingInitialPolicies: ['*'] };
  const mtls = asJson(mesh['mtls']);
  const backends = asList(mtls['backends']);
  if (!backends.some((one) => one['type'] === 'builtin')) return { ...mesh, ...skip };
  const secret = (part: string, backend: Json) => ({
    secret: `${asText(mesh['name'])}.ca-builtin-${part}-${asText(backend['name'])}`,
  });
  const provided = backends.map((one) =>
    one['type'] === 'builtin'
      ? { ...one, type: 'provided', conf: { cert: secret('cert', one), key: secret('key', one) } }
      : one,
  );
  return { ...mesh, ...skip, mtls: { ...mtls, backends: provided, skipValidation: true } };
}

/** `undefined`: the object lives outside the system namespace and has no place on another control plane. */
async function kubernetesForm(
  client: ApiClient,
  { type, item }: Exported,
  profile: Profile,
  namespace: string,
): Promise<Json | undefined> {
  const name = asText(item['name']);
  const path = pathOf(type, asText(item['mesh']) || undefined, name);
  const object = await fetchJson(client, {
    method: 'GET',
    path,
    query: { format: 'k8s' },
    doing: `export ${type.name} ${name}`,
  });
  const metadata = asJson(object['metadata']);
  if (profile !== 'all' && metadata['namespace'] !== undefined && metadata['namespace'] !== namespace) return undefined;
  const dropped = new Set(['resourceVersion', 'ownerReferences', 'uid', 'generation', 'managedFields']);
  const kept = Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => !dropped.has(key))
      .map(([key, value]) => [
        key,
        key === 'labels' || key === 'annotations' ? withoutOrigin(asJson(value), profile) : value,
      ]),
  );
  if (type.name !== 'Mesh') return { ...object, metadata: kept };
  const {
    type: _type,
    name: _name,
    creationTime: _created,
    modificationTime: _modified,
    labels: _labels,
    kri: _kri,
    ...spec
  } = item;
  return { ...object, metadata: kept, spec };
}

function withoutOrigin(pairs: Json, profile: Profile): Json {
  return Object.fromEntries(
    Object.entries(pairs).filter(([key]) => !(isFederation(profile) && key === 'kuma.io/origin')),
  );
}

async function write(invocation: Invocation, comment: string, objects: readonly Json[]): Promise<void> {
  if (formatOf(invocation) === 'json') {
    invocation.io.stdout(`${JSON.stringify({ items: objects }, null, 2)}\n`);
    return;
  }
  invocation.io.stdout(comment);
  for (const object of objects) invocation.io.stdout(`---\n${await yamlText(object)}`);
}
