import type { InjectorSettings } from '../k8s/inject/settings.ts';
import type { ControlPlaneConfig } from './config.ts';
import { VERSION } from './version.ts';

/** What the injector puts into Pods, out of the configuration. `caPem`: what sidecars check the control plane against. */
export function injectorSettings(config: ControlPlaneConfig, caPem: string): InjectorSettings {
  const { systemNamespace } = config.store.kubernetes;
  const { injector, controlPlaneServiceName } = config.runtime.kubernetes;
  const { drainTime, image, ...sidecar } = injector.sidecarContainer;
  const { excludeInboundPorts, excludeOutboundPorts, excludeInboundIPs, excludeOutboundIPs } = injector.sidecarTraffic;
  return {
    controlPlaneUrl: `https://${controlPlaneServiceName}.${systemNamespace}:${config.dpServer.port}`,
    controlPlaneCa: caPem,
    systemNamespace,
    sidecar: {
      ...sidecar,
      image: image || `weft/proxy:${VERSION}`,
      native: config.experimental.sidecarContainers,
      drainTimeMs: drainTime,
    },
    init: {
      image: injector.initContainer.image || image || `weft/proxy:${VERSION}`,
      resources: injector.initContainer.resources,
    },
    probes: { enabled: injector.virtualProbesEnabled, port: injector.virtualProbesPort },
    exceptionLabels: injector.exceptions.labels,
    traffic: {
      excludeInboundPorts: excludeInboundPorts.join(','),
      excludeOutboundPorts: excludeOutboundPorts.join(','),
      excludeInboundIps: excludeInboundIPs.join(','),
      excludeOutboundIps: excludeOutboundIPs.join(','),
    },
    containerPatches: injector.containerPatches,
  };
}
