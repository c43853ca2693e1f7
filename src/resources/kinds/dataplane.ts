/** Dataplane, as in Kuma 2.11-2.14. Types first; schema and validation follow in this file. */

export interface DataplaneInbound {
  readonly port: number;
  readonly servicePort?: number;
  readonly serviceAddress?: string;
  readonly address?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly name?: string;
  readonly state?: 'Ready' | 'NotReady' | 'Ignored';
  readonly health?: { readonly ready?: boolean };
  readonly serviceProbe?: {
    readonly interval?: string;
    readonly timeout?: string;
    readonly unhealthyThreshold?: number;
    readonly healthyThreshold?: number;
    readonly tcp?: Record<string, never>;
  };
}

export interface DataplaneOutbound {
  readonly address?: string;
  readonly port: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly backendRef?: { readonly kind: string; readonly name?: string; readonly port?: number; readonly labels?: Readonly<Record<string, string>> };
}

export interface DataplaneSpec {
  readonly networking?: {
    readonly address?: string;
    readonly advertisedAddress?: string;
    readonly admin?: { readonly port?: number };
    readonly inbound?: readonly DataplaneInbound[];
    readonly outbound?: readonly DataplaneOutbound[];
    readonly gateway?: { readonly type?: 'DELEGATED' | 'BUILTIN'; readonly tags?: Readonly<Record<string, string>> };
    readonly transparentProxying?: {
      readonly redirectPortInbound?: number;
      readonly redirectPortOutbound?: number;
      readonly directAccessServices?: readonly string[];
      readonly reachableServices?: readonly string[];
      readonly reachableBackends?: unknown;
      readonly ipFamilyMode?: 'DualStack' | 'IPv4';
    };
  };
  readonly metrics?: unknown;
  readonly probes?: { readonly port?: number; readonly endpoints?: readonly unknown[] };
}
