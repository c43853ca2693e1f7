/**
 * ClusterRole and binding `name` that let a ServiceAccount, cert-manager's own approver as a rule, approve CertificateRequests for `signer`:
 * `<plural>.<group>/<namespace>.<name>`, `<plural>.<group>/<name>` of a cluster-scoped issuer, or `<plural>.<group>/*`. YAML to paste. Pure.
 * Source: cert-manager documentation, "Approver controller": verb `approve` on `signers`.
 */
export function approverManifest(options: {
  readonly name: string;
  readonly signer: string;
  readonly account: { readonly namespace: string; readonly name: string };
}): string {
  const { name, signer, account } = options;
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: ${name}
rules:
- apiGroups: [cert-manager.io]
  resources: [signers]
  verbs: [approve]
  resourceNames: ["${signer}"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ${name}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ${name}
subjects:
- kind: ServiceAccount
  name: ${account.name}
  namespace: ${account.namespace}
`;
}
