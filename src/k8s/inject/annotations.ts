/**
 * What a Pod says about its own injection. Names and meaning: Kuma 2.11 `pkg/plugins/runtime/k8s/metadata`; compatibility reference 6.
 * Everything that cannot be is told at once, with what is allowed.
 */
import { parseGoDuration } from '../../lib/duration.ts';
import { nearest } from '../../lib/nearest.ts';
import { LARGEST_PORT, parseCidrs, parsePortRanges, parsePortsForUids, RANGE_FORMS } from '../../lib/ranges.ts';
import type { Violation } from '../../resources/resource.ts';
import type { InjectorSettings } from './settings.ts';

export const INJECTION_LABEL = 'kuma.io/sidecar-injection';
export const MESH_LABEL = 'kuma.io/mesh';

/** One Pod's wishes, complete: what it does not say comes from the settings. */
export interface PodWishes {
  /** Its own clients come in without mesh TLS, by no redirect. */
  readonly gateway: boolean;
  readonly adminPort: number;
  readonly redirectPortInbound: number;
  readonly redirectPortOutbound: number;
  readonly ipFamilyMode: string;
  readonly excludeInboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly excludeInboundIps: string;
  readonly excludeOutboundIps: string;
  readonly excludeOutboundPortsForUids: string;
  readonly dropInvalidPackets: boolean;
  readonly probes: { readonly enabled: boolean; readonly port: number };
  readonly env: Readonly<Record<string, string>>;
  /** Worker threads; 0: one per CPU. `undefined`: by the CPU limit. */
  readonly concurrency: number | undefined;
  readonly drainTimeMs: number;
  readonly containerPatches: readonly string[];
  readonly envoyLogLevel: string;
  readonly envoyComponentLogLevel: string;
  readonly waitForProxy: boolean | undefined;
  readonly initFirst: boolean | undefined;
  /** Volume of the Pod that holds the proxy's token; '' for one of our own. */
  readonly tokenVolume: string;
}

/** Annotations with an effect here. */
export const USED_ANNOTATIONS = [
  'kuma.io/gateway',
  'kuma.io/envoy-admin-port',
  'kuma.io/transparent-proxying',
  'kuma.io/transparent-proxying-inbound-port',
  'kuma.io/transparent-proxying-outbound-port',
  'kuma.io/transparent-proxying-ip-family-mode',
  'traffic.kuma.io/exclude-inbound-ports',
  'traffic.kuma.io/exclude-outbound-ports',
  'traffic.kuma.io/exclude-inbound-ips',
  'traffic.kuma.io/exclude-outbound-ips',
  'traffic.kuma.io/exclude-outbound-ports-for-uids',
  'traffic.kuma.io/drop-invalid-packets',
  'kuma.io/virtual-probes',
  'kuma.io/virtual-probes-port',
  'kuma.io/application-probe-proxy-port',
  'kuma.io/sidecar-env-vars',
  'kuma.io/sidecar-proxy-concurrency',
  'kuma.io/sidecar-drain-time',
  'kuma.io/container-patches',
  'kuma.io/envoy-log-level',
  'kuma.io/envoy-component-log-level',
  'kuma.io/wait-for-dataplane-ready',
  'kuma.io/init-first',
  'kuma.io/service-account-token-volume',
  'kuma.io/builtin-dns',
  MESH_LABEL,
];

/** Read elsewhere, or written by the injector. */
export const KNOWN_ANNOTATIONS = [
  ...USED_ANNOTATIONS,
  'kuma.io/sidecar-injected',
  'kuma.io/sidecar-uid',
  'kuma.io/direct-access-services',
  'kuma.io/transparent-proxying-reachable-services',
  'kuma.io/reachable-backends',
];

/** Known to Kuma, without effect here. */
export const WITHOUT_EFFECT_ANNOTATIONS = [
  'kuma.io/ingress',
  'kuma.io/egress',
  'kuma.io/ingress-public-address',
  'kuma.io/ingress-public-port',
  'kuma.io/tags',
  'kuma.io/xds-transport-protocol-variant',
  'kuma.io/builtin-dns-port',
  'kuma.io/builtin-dns-logging',
  'kuma.io/transparent-proxying-ebpf',
  'kuma.io/transparent-proxying-ebpf-bpf-fs-path',
  'kuma.io/transparent-proxying-ebpf-cgroup-path',
  'kuma.io/transparent-proxying-ebpf-instance-ip-env-var-name',
  'kuma.io/transparent-proxying-ebpf-programs-source-path',
  'kuma.io/transparent-proxying-ebpf-tc-attach-iface',
  'traffic.kuma.io/iptables-logs',
  'traffic.kuma.io/transparent-proxy-config',
  'traffic.kuma.io/transparent-proxy-configmap-name',
];

const OURS = /^(?:[a-z0-9-]+\.)*kuma\.io\//;
/** `prometheus.metrics.kuma.io/aggregate-<name>-port` and its like. */
const METRICS = /^prometheus\.metrics\.kuma\.io\//;

/** Texts about annotations that will not do what their writer hopes. */
export function annotationWarnings(annotations: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(annotations)
    .filter((name) => OURS.test(name) && !KNOWN_ANNOTATIONS.includes(name))
    .sort()
    .map((name) => {
      if (name === INJECTION_LABEL) return `${name} is a label: as an annotation it has no effect`;
      if (METRICS.test(name) || WITHOUT_EFFECT_ANNOTATIONS.includes(name))
        return `annotation ${name} has no effect in this version`;
      const near = nearest(name, USED_ANNOTATIONS);
      return `annotation ${name} is not known and has no effect${near === undefined ? '' : `, did you mean ${near}?`}`;
    });
}

const WORDS_FOR_YES: readonly string[] = ['enabled', 'true', 'yes'];
const WORDS_FOR_NO: readonly string[] = ['disabled', 'false', 'no'];
export const BOOLEAN_FORM = 'enabled, true, yes, disabled, false or no';

/** `undefined` for a word that is neither. */
export function booleanWord(text: string): boolean | undefined {
  return WORDS_FOR_YES.includes(text) ? true : WORDS_FOR_NO.includes(text) ? false : undefined;
}

const ENVOY_LEVELS = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'];

/** The wishes, or every annotation that cannot be read; fields are paths in the Pod. */
export function readWishes(
  annotations: Readonly<Record<string, string>>,
  settings: InjectorSettings,
): { readonly wishes: PodWishes } | { readonly violations: readonly Violation[] } {
  const violations: Violation[] = [];
  const refuse = (name: string, message: string) => violations.push({ field: annotationField(name), message });
  const read = <T>(name: string, wanted: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = annotations[name]?.trim();
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) refuse(name, `"${annotations[name]}" is not allowed; it takes ${wanted}`);
    return value;
  };
  const flag = (name: string) => read(name, BOOLEAN_FORM, booleanWord);
  const port = (name: string, least = 1) =>
    read(name, `a port from ${least} to ${LARGEST_PORT}`, (text) => wholeNumber(text, least, LARGEST_PORT));
  const checked = (name: string, wanted: string, parse: (text: string) => unknown) =>
    read(name, wanted, (text) => (parse(text) === undefined ? undefined : text));
  const { sidecar, traffic } = settings;

  const gateway = read('kuma.io/gateway', 'enabled; builtin gateways are not available in this version', (text) =>
    text === 'enabled' ? true : undefined,
  );
  if (flag('kuma.io/builtin-dns') === true)
    refuse(
      'kuma.io/builtin-dns',
      'the proxy answers no DNS in this version; remove the annotation, or set it to disabled',
    );
  if (flag('kuma.io/transparent-proxying') === false)
    refuse(
      'kuma.io/transparent-proxying',
      'a Pod with a sidecar is always redirected; exclude ports or addresses with traffic.kuma.io/exclude-…, or leave the sidecar out',
    );
  const probeProxyPort = port('kuma.io/application-probe-proxy-port', 0);
  const probesPort = port('kuma.io/virtual-probes-port') ?? (probeProxyPort || settings.probes.port);

  const wishes: PodWishes = {
    gateway: gateway ?? false,
    adminPort: port('kuma.io/envoy-admin-port') ?? sidecar.adminPort,
    redirectPortInbound: port('kuma.io/transparent-proxying-inbound-port') ?? sidecar.redirectPortInbound,
    redirectPortOutbound: port('kuma.io/transparent-proxying-outbound-port') ?? sidecar.redirectPortOutbound,
    ipFamilyMode:
      read('kuma.io/transparent-proxying-ip-family-mode', 'dualstack or ipv4', familyMode) ?? sidecar.ipFamilyMode,
    excludeInboundPorts:
      checked('traffic.kuma.io/exclude-inbound-ports', RANGE_FORMS.ports, parsePortRanges) ??
      traffic.excludeInboundPorts,
    excludeOutboundPorts:
      checked('traffic.kuma.io/exclude-outbound-ports', RANGE_FORMS.ports, parsePortRanges) ??
      traffic.excludeOutboundPorts,
    excludeInboundIps:
      checked('traffic.kuma.io/exclude-inbound-ips', RANGE_FORMS.cidrs, parseCidrs) ?? traffic.excludeInboundIps,
    excludeOutboundIps:
      checked('traffic.kuma.io/exclude-outbound-ips', RANGE_FORMS.cidrs, parseCidrs) ?? traffic.excludeOutboundIps,
    excludeOutboundPortsForUids:
      checked('traffic.kuma.io/exclude-outbound-ports-for-uids', RANGE_FORMS.portsForUids, parsePortsForUids) ?? '',
    dropInvalidPackets: flag('traffic.kuma.io/drop-invalid-packets') ?? false,
    // What comes in to a gateway is not redirected, so its probes work as they are.
    probes: {
      enabled: (flag('kuma.io/virtual-probes') ?? settings.probes.enabled) && gateway !== true,
      port: probesPort,
    },
    env: { ...sidecar.envVars, ...read('kuma.io/sidecar-env-vars', 'NAME=value, several with ; between', envVars) },
    concurrency: read('kuma.io/sidecar-proxy-concurrency', 'a whole number from 0 to 1024', (text) =>
      wholeNumber(text, 0, 1024),
    ),
    drainTimeMs:
      read('kuma.io/sidecar-drain-time', 'a duration, such as 30s or 1m30s', notNegativeDuration) ??
      sidecar.drainTimeMs,
    containerPatches:
      read('kuma.io/container-patches', 'names with commas between', names) ?? settings.containerPatches,
    envoyLogLevel:
      read('kuma.io/envoy-log-level', `one of ${ENVOY_LEVELS.join(', ')}`, (text) =>
        ENVOY_LEVELS.includes(text) ? text : undefined,
      ) ?? 'info',
    envoyComponentLogLevel:
      read(
        'kuma.io/envoy-component-log-level',
        'component:level with commas between, such as upstream:debug',
        (text) => (/^[a-z0-9_]+:[a-z]+(?:,[a-z0-9_]+:[a-z]+)*$/.test(text) ? text : undefined),
      ) ?? '',
    waitForProxy: flag('kuma.io/wait-for-dataplane-ready'),
    initFirst: flag('kuma.io/init-first'),
    tokenVolume:
      read('kuma.io/service-account-token-volume', 'the name of a volume of the Pod', (text) => text || undefined) ??
      '',
  };
  return violations.length > 0 ? { violations } : { wishes };
}

/** Path of an annotation in a Pod. */
export function annotationField(name: string): string {
  return `metadata.annotations["${name}"]`;
}

function wholeNumber(text: string, least: number, most: number): number | undefined {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : undefined;
}

function familyMode(text: string): string | undefined {
  return text === 'dualstack' || text === 'ipv4' ? text : undefined;
}

function notNegativeDuration(text: string): number | undefined {
  const ms = parseGoDuration(text);
  return ms !== undefined && ms >= 0 ? ms : undefined;
}

function names(text: string): readonly string[] | undefined {
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  return words.every((word) => /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(word)) ? words : undefined;
}

function envVars(text: string): Readonly<Record<string, string>> | undefined {
  const found: Record<string, string> = {};
  for (const pair of text.split(';')) {
    if (pair.trim() === '') continue;
    const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$/s.exec(pair) ?? [];
    if (name === undefined || value === undefined) return undefined;
    found[name] = value;
  }
  return found;
}
