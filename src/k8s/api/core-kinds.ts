/** The built-in kinds of Kubernetes that this program reads or writes, as far as it does. Source: Kubernetes API reference v1. */
import type { KubeObject, ResourceType } from './object.ts';

function core(plural: string, kind: string, namespaced: boolean): ResourceType {
  return { group: '', version: 'v1', plural, kind, namespaced };
}

export const POD = core('pods', 'Pod', true);
export const SERVICE = core('services', 'Service', true);
export const NAMESPACE = core('namespaces', 'Namespace', false);
export const NODE = core('nodes', 'Node', false);
export const SECRET = core('secrets', 'Secret', true);
export const EVENT = core('events', 'Event', true);
export const TOKEN_REVIEW: ResourceType = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  /** Absent: TCP. */
  readonly protocol?: string;
}

export interface Probe {
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number | string;
    readonly scheme?: string;
    readonly host?: string;
  };
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly ports?: readonly ContainerPort[];
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  /** `Always` in an init container: a native sidecar. */
  readonly restartPolicy?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
}

export interface Pod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    /** Absent: `default`. */
    readonly serviceAccountName?: string;
    readonly containers?: readonly Container[];
    readonly initContainers?: readonly Container[];
  };
  readonly status?: {
    /** Pending, Running, Succeeded, Failed, Unknown. */
    readonly phase?: string;
    readonly reason?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  /** Number, or name of a container's port. Absent: `port`. */
  readonly targetPort?: number | string;
  /** Absent: TCP. */
  readonly protocol?: string;
  readonly appProtocol?: string;
}

export interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly ServicePort[];
    /** `None`: headless. */
    readonly clusterIP?: string;
    /** One per address family. */
    readonly clusterIPs?: readonly string[];
  };
}

export interface Namespace extends KubeObject {
  readonly status?: { readonly phase?: string };
}

/** Of a Node only its labels are read. */
export type Node = KubeObject;

/** The API server's answer to "whose token is this?". */
export interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string; readonly audiences?: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
    /** Those of the asked audiences that the token is meant for. */
    readonly audiences?: readonly string[];
    readonly error?: string;
  };
}
