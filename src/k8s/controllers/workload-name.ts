import type { Pod } from '../api/core-kinds.ts';

/**
 * Name of what a Pod without a Service is one of: its Deployment or CronJob, else the Pod's name without its two last parts. What Kuma 2.11
 * `NameExtractor` answers, without asking for the owner's owner: a Deployment's ReplicaSet is called `<deployment>-<pod-template-hash>` and its
 * Pods carry the hash, a CronJob's Job is called `<cronjob>-<minutes since the epoch>`.
 */
export function workloadName({ metadata }: Pod): string {
  for (const owner of metadata.ownerReferences ?? []) {
    const hash = metadata.labels?.['pod-template-hash'];
    if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
      return owner.name.slice(0, -hash.length - 1);
    }
    const cronJob = owner.kind === 'Job' ? /^(.+)-[0-9]{8,}$/.exec(owner.name)?.[1] : undefined;
    if (cronJob !== undefined) return cronJob;
  }
  const parts = metadata.name.split('-');
  return (parts.length > 2 ? parts.slice(0, -2) : parts).join('-');
}
