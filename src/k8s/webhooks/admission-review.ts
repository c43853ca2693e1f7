/** AdmissionReview of `admission.k8s.io/v1`, in and out. Source: Kubernetes, "Dynamic admission control", webhook request and response. */
import { isJsonObject, plainJsonProblem } from '../../resources/plain-json.ts';
import type { Verdict } from './verdict.ts';

export type JsonObject = Readonly<Record<string, unknown>>;
export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** What the API server asks, as far as it is looked at. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  /** '' for an object whose name the API server still has to make. */
  readonly name: string;
  /** '' for cluster-scoped objects. */
  readonly namespace: string;
  readonly operation: Operation;
  /** '' for the object itself. */
  readonly subResource: string;
  readonly username: string;
  /** Nothing will be stored, so nothing may be done anywhere. */
  readonly dryRun: boolean;
  /** Absent on DELETE. Name and namespace are filled in from the request. */
  readonly object: JsonObject | undefined;
  /** Absent on CREATE. */
  readonly oldObject: JsonObject | undefined;
}

/** The body is no AdmissionReview: HTTP 400. The message holds nothing of its content. */
export class AdmissionReviewError extends Error {
  readonly code = 'admission-review';
  constructor(message: string) {
    super(`read AdmissionReview: ${message}`);
    this.name = 'AdmissionReviewError';
  }
}

const API_VERSION = 'admission.k8s.io/v1';
const OPERATIONS: readonly unknown[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] satisfies readonly Operation[];

/** Throws `AdmissionReviewError`. */
export function parseAdmissionReview(body: unknown): AdmissionRequest {
  if (plainJsonProblem(body) !== undefined) throw new AdmissionReviewError('it is not plain JSON of sane depth');
  if (!isJsonObject(body) || body['kind'] !== 'AdmissionReview' || body['apiVersion'] !== API_VERSION) {
    throw new AdmissionReviewError(`expected kind AdmissionReview of ${API_VERSION}`);
  }
  const request = object(body['request'], 'request');
  const kind = object(request['kind'], 'request.kind');
  const operation = request['operation'];
  if (!OPERATIONS.includes(operation)) throw new AdmissionReviewError('request.operation is unknown');
  const uid = text(request['uid'], 'request.uid');
  if (uid === '') throw new AdmissionReviewError('request.uid is empty');
  const name = text(request['name'], 'request.name');
  const namespace = text(request['namespace'], 'request.namespace');
  return {
    uid,
    kind: {
      group: text(kind['group'], 'request.kind.group'),
      version: text(kind['version'], 'request.kind.version'),
      kind: text(kind['kind'], 'request.kind.kind'),
    },
    name,
    namespace,
    operation: operation as Operation,
    subResource: text(request['subResource'], 'request.subResource'),
    username: text(object(request['userInfo'] ?? {}, 'request.userInfo')['username'], 'request.userInfo.username'),
    dryRun: request['dryRun'] === true,
    object: placed(request['object'], 'request.object', name, namespace),
    oldObject: placed(request['oldObject'], 'request.oldObject', name, namespace),
  };
}

/** The answer; `patch` is base64 of JSON Patch (RFC 6902). */
export function admissionReviewOf(uid: string, verdict: Verdict): JsonObject {
  const { patch = [], warnings = [] } = verdict.allowed ? verdict : {};
  return {
    apiVersion: API_VERSION,
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: verdict.allowed,
      ...(verdict.allowed ? {} : { status: verdict.status }),
      ...(patch.length === 0
        ? {}
        : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
      ...(warnings.length === 0 ? {} : { warnings }),
    },
  };
}

function placed(value: unknown, field: string, name: string, namespace: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  const found = object(value, field);
  const metadata = object(found['metadata'] ?? {}, `${field}.metadata`);
  const own = { name: metadata['name'] ?? name, namespace: metadata['namespace'] ?? namespace };
  return {
    ...found,
    metadata: {
      ...metadata,
      name: text(own.name, `${field}.metadata.name`),
      ...(text(own.namespace, `${field}.metadata.namespace`) === '' ? {} : { namespace: own.namespace }),
    },
  };
}

function object(value: unknown, field: string): JsonObject {
  if (!isJsonObject(value)) throw new AdmissionReviewError(`${field} must be an object`);
  return value;
}

function text(value: unknown, field: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new AdmissionReviewError(`${field} must be a text`);
  return value;
}
