/** What every injection of one control plane has in common; `runtime.kubernetes.injector` of its configuration. Durations are milliseconds. */
export interface InjectorSettings {
  /** Where proxies find the control plane: `https://weft-control-plane.kong-mesh-system:5678`. */
  readonly controlPlaneUrl: string;
  /** PEM of the CA that proxies check it against. */
  readonly controlPlaneCa: string;
  /** The namespace of the control plane: names of Dataplanes there have no namespace. */
  readonly systemNamespace: string;
  readonly sidecar: SidecarSettings;
  readonly init: { readonly image: string; readonly resources: ContainerResources };
  readonly probes: { readonly enabled: boolean; readonly port: number };
  /** Pods with one of these labels are left alone; `*` is any value. */
  readonly exceptionLabels: Readonly<Record<string, string>>;
  /** For Pods that do not say otherwise; lists as annotations write them. */
  readonly traffic: {
    readonly excludeInboundPorts: string;
    readonly excludeOutboundPorts: string;
    readonly excludeInboundIps: string;
    readonly excludeOutboundIps: string;
  };
  /** Names of ContainerPatches for Pods that name none. */
  readonly containerPatches: readonly string[];
}

export interface SidecarSettings {
  readonly image: string;
  /** An init container that stays, which Kubernetes starts first and stops last; false: a container beside the others, for clusters before 1.29. */
  readonly native: boolean;
  readonly adminPort: number;
  readonly drainTimeMs: number;
  readonly uid: number;
  readonly gid: number;
  readonly redirectPortInbound: number;
  readonly redirectPortOutbound: number;
  readonly ipFamilyMode: 'dualstack' | 'ipv4';
  readonly startupProbe: ProbeTimes;
  readonly readinessProbe: ProbeTimes;
  readonly livenessProbe: ProbeTimes;
  readonly resources: ContainerResources;
  readonly envVars: Readonly<Record<string, string>>;
}

/** As Kubernetes names them; whole seconds. */
export interface ProbeTimes {
  readonly initialDelaySeconds: number;
  readonly timeoutSeconds: number;
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

/** Quantities as Kubernetes writes them, '' for none. */
export interface ContainerResources {
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly cpu: string; readonly memory: string };
}
