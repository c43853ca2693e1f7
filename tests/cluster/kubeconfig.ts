/** What a kubeconfig says about its one user. */
export type KubeconfigUser = { readonly token: string } | { readonly certificate: string; readonly key: string };

/** The text of a kubeconfig (JSON, which is YAML) with one cluster and one user. `ca`, `certificate` and `key` are PEM. */
export function kubeconfigText(options: {
  readonly server: string;
  readonly ca: string;
  readonly user: KubeconfigUser;
  readonly namespace?: string;
}): string {
  const { server, ca, user, namespace = 'default' } = options;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const credentials =
    'token' in user
      ? { token: user.token }
      : { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'weft', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'weft', user: credentials }],
    contexts: [{ name: 'weft', context: { cluster: 'weft', user: 'weft', namespace } }],
    'current-context': 'weft',
  });
}
