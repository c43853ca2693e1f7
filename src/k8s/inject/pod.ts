/** A Pod as the injector sees it: the fields it reads, and everything else, which it hands on. */

export interface AdmittedPod {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: PodMetadata;
  readonly spec?: PodSpec;
  readonly [field: string]: unknown;
}

export interface PodMetadata {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface PodSpec {
  readonly containers?: readonly PodContainer[];
  readonly initContainers?: readonly PodContainer[];
  readonly volumes?: readonly Volume[];
  readonly hostNetwork?: boolean;
  readonly os?: { readonly name?: string };
  readonly securityContext?: {
    readonly runAsUser?: number;
    readonly runAsGroup?: number;
    readonly [field: string]: unknown;
  };
  /** Absent: 30. */
  readonly terminationGracePeriodSeconds?: number;
  readonly [field: string]: unknown;
}

export interface Volume {
  readonly name: string;
  readonly projected?: {
    readonly sources?: readonly { readonly serviceAccountToken?: { readonly audience?: string } }[];
  };
  readonly [field: string]: unknown;
}

export interface PodContainer {
  readonly name: string;
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[];
  readonly livenessProbe?: PodProbe;
  readonly readinessProbe?: PodProbe;
  readonly startupProbe?: PodProbe;
  readonly restartPolicy?: string;
  readonly securityContext?: {
    readonly runAsUser?: number;
    readonly runAsGroup?: number;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface PodProbe {
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number | string;
    readonly scheme?: string;
    readonly host?: string;
    readonly [field: string]: unknown;
  };
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly [field: string]: unknown;
}

/** Labels and annotations of an object that a Pod takes defaults from. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Names of the containers and volumes the injector adds. Source: Kuma 2.11 `pkg/plugins/runtime/k8s/util`; `kuma-bootstrap` is ours. */
export const INIT_CONTAINER = 'kuma-init';
export const BOOTSTRAP_CONTAINER = 'kuma-bootstrap';
export const SIDECAR_CONTAINER = 'kuma-sidecar';
export const BOOTSTRAP_VOLUME = 'kuma-bootstrap';
export const TOKEN_VOLUME = 'kuma-token';
