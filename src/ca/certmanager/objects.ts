/** cert-manager's objects as far as they are read. Source: cert-manager 1.21 `pkg/apis/certmanager/v1`. */
import type { Condition, KubeObject, ResourceType } from '../../k8s/api/object.ts';
import type { IssuerRef } from './conf.ts';

const type = (plural: string, kind: string, namespaced: boolean): ResourceType => ({
  group: 'cert-manager.io',
  version: 'v1',
  plural,
  kind,
  namespaced,
});

export const CERTIFICATE_REQUEST = type('certificaterequests', 'CertificateRequest', true);
export const ISSUER = type('issuers', 'Issuer', true);
export const CLUSTER_ISSUER = type('clusterissuers', 'ClusterIssuer', false);

export interface CertificateRequest extends KubeObject {
  readonly spec: {
    /** base64 of the PEM of a PKCS#10 request. */
    readonly request: string;
    readonly issuerRef: IssuerRef;
    /** Go duration. */
    readonly duration: string;
    readonly usages: readonly string[];
    readonly isCA?: boolean;
  };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    /** base64 of PEM. */
    readonly certificate?: string;
    /** base64 of PEM. */
    readonly ca?: string;
    readonly failureTime?: string;
  };
}

export interface Issuer extends KubeObject {
  readonly spec?: {
    readonly ca?: object;
    readonly vault?: object;
    readonly venafi?: object;
    readonly selfSigned?: object;
    readonly acme?: object;
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export function conditionOf(
  object: { readonly status?: { readonly conditions?: readonly Condition[] } },
  name: string,
): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === name);
}
