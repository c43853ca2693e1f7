import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Invocation, textOption } from '../command.ts';

/**
 * What to look at: as `--environment` says, else by the flags that only one of them has, else Kubernetes when a kubeconfig can be found
 * (`KUBECONFIG`, `~/.kube/config`, or inside a Pod), else Universal.
 */
export async function environmentOf(invocation: Invocation): Promise<'kubernetes' | 'universal'> {
  const given = (name: string) => textOption(invocation, name) !== undefined;
  const said = textOption(invocation, 'environment');
  if (said === 'kubernetes' || said === 'universal') return said;
  if (given('cpAddress') || given('context') || given('configFile')) return 'universal';
  if (given('kubeconfig') || given('kubeContext') || given('namespace')) return 'kubernetes';
  const { env, home } = invocation.io;
  if (env['KUBERNETES_SERVICE_HOST'] || env['KUBECONFIG']) return 'kubernetes';
  return access(join(home, '.kube', 'config')).then(
    () => 'kubernetes' as const,
    () => 'universal' as const,
  );
}
