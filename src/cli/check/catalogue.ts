import { OLDEST_KUBERNETES } from '../../k8s/api/oldest-version.ts';

/** Every check by its stable id: `docs/reference/checks.md` is printed from here, and each failure links there. */

export const GROUPS = {
  kubernetes: 'Kubernetes API server',
  api: 'API of the control plane',
  clocks: 'Clocks',
  rights: 'Rights',
  crds: 'Definitions of our resources',
  webhooks: 'Admission webhooks',
  'control-plane': 'Control plane',
  'cert-manager': 'cert-manager',
  issuers: 'Issuers of meshes',
  proxies: 'Proxies and their certificates',
  cas: 'CAs of meshes',
} as const;

export type GroupId = keyof typeof GROUPS;

interface CheckInfo {
  readonly group: GroupId;
  /** What is looked at. */
  readonly about: string;
  /** What it means when it is not good, and how that comes about. */
  readonly bad: string;
}

export const CHECKS = {
  'kubernetes-api': {
    group: 'kubernetes',
    about: 'The API server of the kubeconfig answers.',
    bad: 'Nothing else can be checked; the exit code is 2. The kubeconfig points elsewhere, or the network does not reach it.',
  },
  'kubernetes-version': {
    group: 'kubernetes',
    about: `The API server is ${OLDEST_KUBERNETES} or later.`,
    bad: 'Sidecars are injected as native sidecars (init containers that stay) with a `sleep` in a preStop hook; older versions do not know one or the other.',
  },
  clock: {
    group: 'clocks',
    about: "The clock of this machine beside the server's: over 5 s is a warning, over 60 s a failure.",
    bad: "Ages and expiry below are computed with the server's time, so they stay right; other programs of this machine may not.",
  },
  'node-clocks': {
    group: 'clocks',
    about:
      "Each node's clock, from the lease that its kubelet renews: 2 s ahead of the API server is a warning, 10 s a failure.",
    bad: "An Envoy takes no certificate whose time has not come. cert-manager's CA issuer starts a certificate at its own clock's now, so a few seconds are enough for refused handshakes.",
  },
  'api-reachable': {
    group: 'api',
    about: 'The REST API of the control plane answers.',
    bad: 'Nothing else can be checked; the exit code is 2. The address is wrong, or the control plane does not run.',
  },
  'api-version': {
    group: 'api',
    about: 'The control plane has the version of this program.',
    bad: 'Commands may not know what the other side can do.',
  },
  'own-certificates': {
    group: 'api',
    about:
      'Universal: every certificate of the control plane itself (ports, Envoy admin) has more than `--ca-expires-in` left (the smaller of 10 % of its life and 30 days when not given).',
    bad: "Proxies and people can't connect when it ends. Those that the control plane made it renews by itself, those of files when the files change.",
  },
  'signing-keys': {
    group: 'api',
    about: 'Universal: a key is there for every kind of token that the control plane issues, and for each mesh.',
    bad: 'No new proxy of that mesh, or no person, gets a token; a key was deleted.',
  },
  'caller-rights': {
    group: 'rights',
    about: 'You may read what this command reads.',
    bad: 'What you may not read is skipped, so a problem there stays unseen.',
  },
  'control-plane-rights': {
    group: 'rights',
    about: 'The ServiceAccount of the control plane may do what it has to (SubjectAccessReview).',
    bad: 'The control plane runs and some part of it does not: a role or a binding was removed, or is of an older version.',
  },
  'control-plane-secrets': {
    group: 'rights',
    about: 'The same ServiceAccount may read no Secret in other namespaces.',
    bad: "Somebody granted it more than the installation does. It does not read the CA's Secret, but it could.",
  },
  'crds-present': {
    group: 'crds',
    about: 'Every CustomResourceDefinition of this version is there.',
    bad: 'Resources of the missing kinds can be neither applied nor read.',
  },
  'crds-version': {
    group: 'crds',
    about: 'They serve and store the version this program uses.',
    bad: "Definitions were not upgraded with the control plane; Helm never upgrades what lies in a chart's `crds/`.",
  },
  'crds-established': {
    group: 'crds',
    about: 'The API server serves them.',
    bad: 'A definition was just made, or its names collide with those of another.',
  },
  'webhooks-present': {
    group: 'webhooks',
    about: 'Both webhook configurations are there.',
    bad: 'Without them nothing is defaulted, validated or injected: Pods start without a sidecar.',
  },
  'webhooks-ca-bundle': {
    group: 'webhooks',
    about: 'Every webhook has a CA bundle that can be read and has not expired.',
    bad: "The API server can't verify the webhook, and refuses what the webhook would look at.",
  },
  'webhooks-certificate': {
    group: 'webhooks',
    about:
      "The certificate served on the webhook port: signed by that CA, good for the Service's name, not near its end.",
    bad: 'The control plane renews it by itself; when it did not, its log says why.',
  },
  'webhooks-answer': {
    group: 'webhooks',
    about: 'A Mesh with an error in it, sent as a dry run (nothing is stored), is refused by the webhook.',
    bad: "The API server can't reach the control plane on port 5443, or nobody validates.",
  },
  'control-plane-ready': {
    group: 'control-plane',
    about: 'All Pods of the Deployment `weft-control-plane` are ready.',
    bad: 'Proxies keep their last configuration and certificates; nothing new is issued while no Pod is ready.',
  },
  'control-plane-version': {
    group: 'control-plane',
    about: 'It has the version of this program.',
    bad: 'Commands may not know what the other side can do.',
  },
  'cert-manager-crds': {
    group: 'cert-manager',
    about:
      'Looked at when a Mesh has a `certmanager` backend: the definitions of cert-manager are there and served as v1.',
    bad: 'cert-manager is not installed, so no certificate can be asked for.',
  },
  'cert-manager-ready': {
    group: 'cert-manager',
    about: 'Its controller runs.',
    bad: 'Requests stay unanswered. Leaves in use stay valid until they end.',
  },
  'cert-manager-version': {
    group: 'cert-manager',
    about: 'It is 1.12 or later.',
    bad: 'Older versions are not tested.',
  },
  'issuer-exists': {
    group: 'issuers',
    about: 'The issuer named by `issuerRef` is there: an Issuer in the system namespace, a ClusterIssuer anywhere.',
    bad: 'A typo in the Mesh, or an Issuer in another namespace.',
  },
  'issuer-ready': {
    group: 'issuers',
    about: 'Its condition Ready is True.',
    bad: 'cert-manager says in the message what is missing, most often the Secret with the CA.',
  },
  'issuer-type': {
    group: 'issuers',
    about: 'It is of a type that can sign leaves of a mesh.',
    bad: '`selfSigned` signs every leaf with its own key, `acme` issues no SPIFFE IDs.',
  },
  'issuer-approval': {
    group: 'issuers',
    about: 'cert-manager may approve requests for it.',
    bad: 'By default cert-manager approves requests for its own issuers only. For others it needs the right that the hint grants, or an approver of your own.',
  },
  'issuer-trial': {
    group: 'issuers',
    about: 'Only with `--issue`: it issues one throw-away certificate, and the request is deleted.',
    bad: 'What stopped it: not approved, denied, failed, or no answer in time.',
  },
  'proxies-connected': {
    group: 'proxies',
    about: 'Every Dataplane has a proxy that is connected.',
    bad: 'It runs with its last configuration, or it does not run.',
  },
  'proxies-in-sync': {
    group: 'proxies',
    about: 'Every connected proxy has accepted (ACK) what it was sent, and refused (NACK) nothing.',
    bad: 'It runs with the last configuration that it took.',
  },
  'leaves-issued': {
    group: 'proxies',
    about: 'No issuance of a certificate is failing at the moment.',
    bad: "The leaf in use stays; when it ends, the proxy can't talk any more.",
  },
  'leaves-valid': {
    group: 'proxies',
    about:
      'Every connected proxy of a mesh with mTLS has a valid leaf with more than `--leaf-expires-in` left (15 % of its life when not given).',
    bad: 'Leaves are renewed with 20 to 30 % of their life left. Later means that renewal does not work.',
  },
  'leaves-renewed': {
    group: 'proxies',
    about:
      'No certificate is overdue: renewed within a tenth of its life after its renewal point. A warning, since it comes before `leaves-valid` fails.',
    bad: 'Renewal is late: the issuer is slow or refuses, or many certificates wait. `weft certs show` has the reason.',
  },
  'backend-ready': {
    group: 'cas',
    about:
      'Every CA backend of a Mesh issues certificates, as the control plane says: `status.mtls` of the Mesh, `weft inspect mesh`.',
    bad: 'The message says what is in the way, and the hint what mends it. Leaves in use stay; the backend that issues is a failure, another one a warning.',
  },
  'ca-valid': {
    group: 'cas',
    about:
      'Every CA certificate of a mesh has more than `--ca-expires-in` left (the smaller of 10 % of its life and 30 days when not given).',
    bad: 'When a CA ends, every leaf that it signed is worth nothing. A CA is changed in steps, without a failed request.',
  },
} as const satisfies Readonly<Record<string, CheckInfo>>;

export type CheckId = keyof typeof CHECKS;

/** Where a check is described. */
export function docsOf(id: CheckId): string {
  return `docs/reference/checks.md#${id}`;
}
