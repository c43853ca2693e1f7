import type { CommandSpec, OptionSpec } from './command.ts';

const namespace: OptionSpec = {
  flags: '--namespace <name>',
  description: 'namespace of the control plane',
  default: 'kong-mesh-system',
};

/** Manifests for a cluster; what they print goes to kubectl. Names of the flags: Kuma 2.11 `kumactl install`. */
export const INSTALL_COMMANDS: readonly CommandSpec[] = [
  {
    path: 'install control-plane',
    summary: 'Print the manifests of a control plane on Kubernetes',
    details:
      'The same as the Helm chart in deploy/helm/weft, whose README has every value. To take it away again, pipe the same command into kubectl delete; with --set crds.enabled=false, so that meshes and policies stay.',
    options: [
      namespace,
      {
        flags: '-f, --values <path>',
        description: 'YAML file with values of the chart; - is standard input',
        repeat: true,
      },
      { flags: '--set <path=value>', description: 'one value, such as controlPlane.logLevel=debug', repeat: true },
      { flags: '--replicas <number>', description: 'how many control planes run', default: '1' },
      { flags: '--control-plane-image <image>', description: 'registry/path/name:tag of the control plane' },
      { flags: '--proxy-image <image>', description: 'registry/path/name:tag of sidecars and init containers' },
    ],
    examples: [
      ['Into the cluster of the kubeconfig', 'weft install control-plane | kubectl apply --server-side -f -'],
      ['Highly available', 'weft install control-plane --replicas 3 | kubectl apply --server-side -f -'],
      [
        'With values, and an image of your own',
        'weft install control-plane --values values.yaml --set controlPlane.logLevel=debug \\\n  --control-plane-image registry.example.com/mesh/control-plane:0.1.0',
      ],
      [
        'Take it away, keep meshes and policies',
        'weft install control-plane --set crds.enabled=false --set namespace.create=false | kubectl delete -f -',
      ],
    ],
    load: () => import('./commands/install-control-plane.ts'),
  },
  {
    path: 'install crds',
    summary: 'Print the CustomResourceDefinitions of every kind',
    details: 'Server-side, because the definitions are longer than what a client-side apply can remember.',
    examples: [['Into the cluster of the kubeconfig', 'weft install crds | kubectl apply --server-side -f -']],
    load: () => import('./commands/install-crds.ts'),
  },
  {
    path: 'install demo',
    summary: 'Print the manifests of two services in the mesh, web and api',
    details: 'web calls api all the time and says how it goes. Both run from the image of the control plane.',
    options: [
      { flags: '--namespace <name>', description: 'namespace of the demo', default: 'weft-demo' },
      { ...namespace, flags: '--system-namespace <name>' },
      { flags: '--image <image>', description: 'image of the control plane', default: 'weft/control-plane:<version>' },
      { flags: '--requests-per-second <n>', description: 'load from web to api', default: '50' },
    ],
    examples: [
      ['Into the cluster of the kubeconfig', 'weft install demo | kubectl apply --server-side -f -'],
      ['See how it goes', 'kubectl --namespace weft-demo logs --follow deployment/web --container web'],
    ],
    load: () => import('./commands/install-demo.ts'),
  },
];
