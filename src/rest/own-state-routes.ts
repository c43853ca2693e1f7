import type { ResourceStore } from '../store/store.ts';
import { inStage } from './problem.ts';
import { type JsonSchema, json, type Route } from './route.ts';

/** A certificate of the control plane itself. */
export interface OwnCertificate {
  /** What it is for, one word: `server`, `api`, `data-plane-port`, `envoy-admin-ca`. */
  readonly name: string;
  /** RFC 4514; '' when it has none. */
  readonly subject: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Keys that tokens of one kind are signed with. */
export interface SigningKeys {
  readonly kind: 'dataplane' | 'zone' | 'user';
  /** '' for zone and user. */
  readonly mesh: string;
  /** Serials, the one that signs last. */
  readonly kids: readonly string[];
  /** This control plane issues tokens of this kind, so it needs one. */
  readonly needed: boolean;
}

/** What the control plane stands on itself; `control-plane/` has it. */
export interface OwnState {
  certificates(): readonly OwnCertificate[];
  signingKeys(meshes: readonly string[]): Promise<readonly SigningKeys[]>;
}

const TEXT = { type: 'string' };
const ANSWER: JsonSchema = {
  type: 'object',
  required: ['certificates', 'signingKeys'],
  properties: {
    certificates: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'subject', 'notBefore', 'notAfter'],
        properties: {
          name: TEXT,
          subject: TEXT,
          notBefore: { type: 'string', format: 'date-time' },
          notAfter: { type: 'string', format: 'date-time' },
        },
      },
    },
    signingKeys: {
      type: 'array',
      items: {
        type: 'object',
        required: ['kind', 'mesh', 'kids', 'needed'],
        properties: {
          kind: { type: 'string', enum: ['dataplane', 'zone', 'user'] },
          mesh: TEXT,
          kids: { type: 'array', items: TEXT, description: 'Serials, the one that signs last; never a key' },
          needed: { type: 'boolean', description: 'This control plane issues tokens of this kind' },
        },
      },
    },
  },
};

/** `GET /_control-plane`: certificates and signing keys of the control plane that is asked; our own. */
export function ownStateRoutes(store: ResourceStore, own: OwnState): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/_control-plane',
      access: { rule: 'controlPlaneMetadata', what: 'control-plane metadata' },
      document: {
        id: 'getOwnState',
        summary: 'Certificates of the control plane itself, and which keys sign tokens',
        tag: 'Control plane',
        answer: ANSWER,
      },
      async handle() {
        const { items } = await inStage('Could not retrieve resources', () => store.list({ type: 'Mesh' }));
        const signingKeys = await inStage('Could not retrieve signing keys', () =>
          own.signingKeys(items.map(({ meta }) => meta.name)),
        );
        const certificates = own.certificates().map(({ notBefore, notAfter, ...certificate }) => ({
          ...certificate,
          notBefore: new Date(notBefore).toISOString(),
          notAfter: new Date(notAfter).toISOString(),
        }));
        return json({ certificates, signingKeys });
      },
    },
  ];
}
