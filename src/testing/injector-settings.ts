import type { InjectorSettings } from '../k8s/inject/settings.ts';

const times = (initialDelaySeconds: number, periodSeconds: number, failureThreshold: number) => ({
  initialDelaySeconds,
  timeoutSeconds: 3,
  periodSeconds,
  failureThreshold,
});

/** Settings as a control plane has them that was told nothing, with a short CA. */
export const TEST_INJECTOR_SETTINGS: InjectorSettings = {
  controlPlaneUrl: 'https://weft-control-plane.kong-mesh-system:5678',
  controlPlaneCa: 'CA PEM\n',
  systemNamespace: 'kong-mesh-system',
  sidecar: {
    image: 'weft/proxy:0.0.0',
    native: true,
    adminPort: 9901,
    drainTimeMs: 30_000,
    uid: 5678,
    gid: 5678,
    redirectPortInbound: 15006,
    redirectPortOutbound: 15001,
    ipFamilyMode: 'dualstack',
    startupProbe: times(0, 1, 60),
    readinessProbe: times(1, 5, 12),
    livenessProbe: times(60, 5, 12),
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '1000m', memory: '512Mi' } },
    envVars: {},
  },
  init: {
    image: 'weft/proxy:0.0.0',
    resources: { requests: { cpu: '20m', memory: '64Mi' }, limits: { cpu: '1000m', memory: '256Mi' } },
  },
  probes: { enabled: true, port: 9000 },
  exceptionLabels: { 'openshift.io/build.name': '*', 'openshift.io/deployer-pod-for.name': '*' },
  traffic: { excludeInboundPorts: '', excludeOutboundPorts: '', excludeInboundIps: '', excludeOutboundIps: '' },
  containerPatches: [],
};
