import type { OwnerReference } from '../../k8s/api/object.ts';
import { apiVersionOf } from '../../k8s/api/object.ts';
import { contentHash, stableJson } from '../../lib/hash.ts';
import { LABEL_MESH, LABEL_ZONE } from '../../resources/well-known.ts';
import { toPem } from '../../x509/pem.ts';
import type { IssuerRef } from './conf.ts';
import { CERTIFICATE_REQUEST, type CertificateRequest } from './objects.ts';

/** Marks what this program makes; the one selector of its watch. */
const MANAGED_BY = 'app.kubernetes.io/managed-by';
const WEFT = 'weft-control-plane';
export const OWN_REQUESTS = `${MANAGED_BY}=${WEFT}`;

const BACKEND = 'kuma.io/ca-backend';
const PROXY = 'kuma.io/proxy-hash';
const INSTANCE = 'kuma.io/control-plane-instance';

const SPIFFE_ID = 'kuma.io/spiffe-id';
const DATAPLANE = 'kuma.io/dataplane';
/** RFC 3339; nobody waits for the answer after it. */
const DEADLINE = 'kuma.io/deadline';
/** Hash of everything that decides what the certificate will be. */
const CONTENT = 'kuma.io/request-hash';
/** The private key, sealed with the key of the sealed leaves: what a restart needs to finish the request (decision 0010). */
const SEALED_KEY = 'kuma.io/sealed-key';

/**
 * What a mesh leaf is for. The CSR has no usages in it: signers that compare the two would refuse any difference.
 * Source: cert-manager 1.21 `KeyUsage`; the four that csi-driver-spiffe asks for.
 */
const USAGES = ['digital signature', 'key encipherment', 'server auth', 'client auth'];

/** One certificate to ask for. */
export interface Order {
  readonly mesh: string;
  readonly backend: string;
  /** Name of the Dataplane; '' for the control plane's own question. */
  readonly proxy: string;
  readonly uriSans: readonly string[];
  readonly commonName: string | undefined;
  readonly dnsNames: readonly string[];
  readonly issuerRef: IssuerRef;
}

/** What recognises a request for the same certificate. */
function orderHash({ uriSans, commonName = '', dnsNames, issuerRef }: Order): string {
  return contentHash(stableJson([uriSans, commonName, dnsNames, issuerRef]));
}

/** The object to create. Names are never used twice: some signers take the name for the identity of the order. `random` is hex. */
export function buildRequest(options: {
  order: Order;
  /** DER. */
  csr: Uint8Array;
  durationMs: number;
  /** Epoch ms. */
  deadline: number;
  sealedKey: string | undefined;
  namespace: string;
  zone: string;
  instanceId: string;
  owner: OwnerReference | undefined;
  random: string;
}): CertificateRequest {
  const { order } = options;
  const proxy = proxyHash(order);
  return {
    apiVersion: apiVersionOf(CERTIFICATE_REQUEST),
    kind: CERTIFICATE_REQUEST.kind,
    metadata: {
      name: `weft-${proxy}-${options.random}`,
      namespace: options.namespace,
      labels: {
        [MANAGED_BY]: WEFT,
        [LABEL_MESH]: labelValue(order.mesh),
        [BACKEND]: labelValue(order.backend),
        [LABEL_ZONE]: labelValue(options.zone),
        [PROXY]: proxy,
        [INSTANCE]: labelValue(options.instanceId),
      },
      annotations: {
        [SPIFFE_ID]: order.uriSans[0] ?? '',
        [DATAPLANE]: order.proxy,
        [DEADLINE]: new Date(options.deadline).toISOString(),
        [CONTENT]: orderHash(order),
        ...(options.sealedKey === undefined ? {} : { [SEALED_KEY]: options.sealedKey }),
      },
      ...(options.owner === undefined ? {} : { ownerReferences: [options.owner] }),
    },
    spec: {
      request: Buffer.from(toPem('CERTIFICATE REQUEST', options.csr)).toString('base64'),
      issuerRef: order.issuerRef,
      duration: `${Math.max(1, Math.floor(options.durationMs / 1000))}s`,
      usages: USAGES,
      isCA: false,
    },
  };
}

/** True when `request` was made for the same certificate of the same proxy. */
export function isFor(request: CertificateRequest, order: Order): boolean {
  const { labels = {}, annotations = {} } = request.metadata;
  return (
    labels[PROXY] === proxyHash(order) &&
    labels[LABEL_MESH] === labelValue(order.mesh) &&
    labels[BACKEND] === labelValue(order.backend) &&
    annotations[CONTENT] === orderHash(order)
  );
}

export function sealedKeyOf(request: CertificateRequest): string | undefined {
  return request.metadata.annotations?.[SEALED_KEY];
}

/** Epoch ms after which nobody waits for it; from its age when it does not say. */
export function deadlineOf(request: CertificateRequest): number {
  const { annotations = {}, creationTimestamp = '' } = request.metadata;
  const deadline = Date.parse(annotations[DEADLINE] ?? '');
  return Number.isNaN(deadline) ? Date.parse(creationTimestamp) + OLD_MS : deadline;
}

const OLD_MS = 600_000;

function proxyHash({ mesh, proxy }: Pick<Order, 'mesh' | 'proxy'>): string {
  return contentHash(JSON.stringify([mesh, proxy]));
}

const LABEL = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** `text` where it can be a label value (Kubernetes: 63 characters of letters, digits, `-_.`), else its beginning with a hash. */
export function labelValue(text: string): string {
  if (LABEL.test(text) || text === '') return text;
  const start = text
    .replace(/[^A-Za-z0-9]/g, '-')
    .replace(/^-+/, '')
    .slice(0, 40);
  return `${start === '' ? 'x' : start}-${contentHash(text)}`;
}
