/** Manifests to paste when a CertificateRequest goes wrong: `CaError.fix`. Pure. */
import { approverManifest } from '../../k8s/api/approver-manifest.ts';
import type { Subject } from './problem.ts';

/** Lets cert-manager approve requests for every signer of this kind. */
export function approverRole({ issuerRef: { kind, group } }: Subject): string {
  return approverManifest({
    name: `cert-manager-approve-${kind.toLowerCase()}`,
    signer: `${kind.toLowerCase()}s.${group}/*`,
    account: { namespace: 'cert-manager', name: 'cert-manager' },
  });
}

/** For clusters with approver-policy. Source: cert-manager documentation, "approver-policy". */
export function approvalPolicy({ mesh, issuerRef: { kind, name, group }, systemNamespace }: Subject): string {
  return `apiVersion: policy.cert-manager.io/v1alpha1
kind: CertificateRequestPolicy
metadata:
  name: weft-mesh-${mesh}
spec:
  allowed:
    uris:
      values: ["spiffe://${mesh}/*", "kuma://*"]
    usages: [digital signature, key encipherment, server auth, client auth]
  selector:
    issuerRef: {name: ${name}, kind: ${kind}, group: ${group}}
    namespace:
      matchNames: [${systemNamespace}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: weft-mesh-${mesh}-policy
  namespace: ${systemNamespace}
rules:
- apiGroups: [policy.cert-manager.io]
  resources: [certificaterequestpolicies]
  verbs: [use]
  resourceNames: [weft-mesh-${mesh}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: weft-mesh-${mesh}-policy
  namespace: ${systemNamespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: weft-mesh-${mesh}-policy
subjects:
- kind: ServiceAccount
  name: weft-control-plane
  namespace: ${systemNamespace}
`;
}

/** What the control plane may do with CertificateRequests in its namespace, `verb` included. */
export function controlPlaneRole({ systemNamespace }: Subject, verb: string): string {
  const verbs = [...new Set(['create', 'get', 'list', 'watch', 'delete', verb])].join(', ');
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: weft-certificate-requests
  namespace: ${systemNamespace}
rules:
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [${verbs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: weft-certificate-requests
  namespace: ${systemNamespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: weft-certificate-requests
subjects:
- kind: ServiceAccount
  name: weft-control-plane
  namespace: ${systemNamespace}
`;
}
