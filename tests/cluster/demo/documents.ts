/** What is applied to the cluster beside the manifests of `weft install`. */

export const SYSTEM_NAMESPACE = 'kong-mesh-system';
export const DEMO_NAMESPACE = 'weft-demo';

/** The Mesh of the page, letter by letter, with the certificate of the CA where that has dots, and leaves that live `lifetime`. */
export function pageMesh(caPem: string, lifetime: string): string {
  return `apiVersion: kuma.io/v1alpha1
kind: Mesh
metadata:
  name: default
spec:
  mtls:
    enabledBackend: certmanager-1
    backends:
    - name: certmanager-1
      type: certmanager
      dpCert:
        rotation:
          expiration: ${lifetime}
      conf:
        issuerRef:
          name: my-ca-issuer
          kind: Issuer
          group: cert-manager.io
        caCert: # can be used to specify the root CA
          inlineString: | # or secret
${caPem.trimEnd().replaceAll(/^/gm, '            ')}
`;
}

/** A Pod outside of the mesh that calls `api` when it is asked to: the demo's own `web`, without a sidecar. */
export function strangerPod(image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'stranger', namespace: DEMO_NAMESPACE, labels: { 'kuma.io/sidecar-injection': 'disabled' } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'stranger',
          image,
          command: ['/usr/local/bin/node', '/opt/weft/dist/bin/demo-service.js'],
          args: ['web', '0.0.0.0:8080', `http://api.${DEMO_NAMESPACE}:8080/`],
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        },
      ],
    },
  };
}
