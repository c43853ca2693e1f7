import type { DataplaneInsightSpec } from '../resources/kinds/dataplane-insight.ts';
import type { MeshMtls } from '../resources/kinds/mesh.ts';
import type { Violation } from '../resources/resource.ts';
import { isConnected } from './proxies.ts';
import { runningText } from './request.ts';
import { isEnded, type Rotation } from './rotation.ts';

/** What the insights of a mesh say, by name of the proxy. */
export type Insights = ReadonlyMap<string, DataplaneInsightSpec>;

/** Whether an edit concerns the CAs of a mesh so that proxies have to be looked at. */
export function changesCa(before: MeshMtls | undefined, after: MeshMtls | undefined): boolean {
  if (!before?.enabledBackend || !after?.enabledBackend) return false;
  return after.enabledBackend !== before.enabledBackend || dropped(before, after).length > 0;
}

/**
 * Why a Mesh may not be edited like this: a step of changing its CA would be skipped, or a rotation that is under way contradicted (kuma-compat 1.5). Each
 * names the step that is missing. Switching mTLS off is no step: it ends a rotation. Pure.
 */
export function caEditViolations(options: {
  readonly mesh: string;
  readonly before: MeshMtls;
  readonly after: MeshMtls;
  readonly insights: Insights;
  readonly rotation: Rotation | undefined;
}): readonly Violation[] {
  const { mesh, before, after, insights, rotation } = options;
  if (!changesCa(before, after)) return [];
  const running = rotation === undefined || isEnded(rotation) ? undefined : rotation;
  const contradiction = running && contradictionOf(mesh, running, before, after);
  if (contradiction !== undefined) return [contradiction];
  return [...switchViolations(mesh, before, after, insights), ...dropViolations(mesh, before, after, insights)];
}

function contradictionOf(mesh: string, running: Rotation, before: MeshMtls, after: MeshMtls): Violation | undefined {
  const { from, to, kind, phase } = running;
  const refuse = (field: string): Violation => ({
    field,
    message: `cannot be changed now: ${runningText(mesh, running)}`,
  });
  if (after.enabledBackend !== before.enabledBackend) {
    const wanted = kind === 'renew' ? undefined : phase === 'RollingBack' ? from : to;
    if (after.enabledBackend !== wanted) return refuse('mtls.enabledBackend');
  }
  const goes = dropped(before, after);
  const mayGo = phase === 'Retiring' ? [from] : [];
  return goes.some((name) => (name === from || name === to) && !mayGo.includes(name))
    ? refuse('mtls.backends')
    : undefined;
}

function switchViolations(mesh: string, before: MeshMtls, after: MeshMtls, insights: Insights): readonly Violation[] {
  const to = after.enabledBackend!;
  if (to === before.enabledBackend) return [];
  const field = 'mtls.enabledBackend';
  const rotate = `weft ca rotate --mesh ${mesh} --to ${to}`;
  if (!names(before).includes(to)) {
    const message = `cannot switch to "${to}" in one step: first apply the Mesh with both backends listed and enabledBackend unchanged, so that every proxy trusts both; then run ${rotate}`;
    return [{ field, message }];
  }
  const waiting = connected(insights).filter(([, { mTLS }]) => !mTLS?.supportedBackends?.includes(to));
  if (waiting.length === 0) return [];
  return [
    {
      field,
      message: `cannot issue from "${to}" yet: its CA is not acknowledged by ${some(waiting)}; run ${rotate}, which waits for them, or apply again later`,
    },
  ];
}

function dropViolations(mesh: string, before: MeshMtls, after: MeshMtls, insights: Insights): readonly Violation[] {
  const goes = dropped(before, after);
  const inUse = connected(insights).filter(([, insight]) => goes.includes(presented(insight)));
  if (inUse.length === 0) return [];
  const backend = presented(inUse[0]![1]);
  const message = `cannot remove "${backend}" yet: its certificates are still presented by ${some(inUse)}; wait until they were renewed, or run weft ca rotate --mesh ${mesh} --to ${after.enabledBackend} --drop-old, which does`;
  return [{ field: 'mtls.backends', message }];
}

/** Proxies that have a certificate and a stream. */
function connected(insights: Insights): readonly (readonly [string, DataplaneInsightSpec])[] {
  return [...insights].filter(([, insight]) => isConnected(insight) && insight.mTLS?.issuedBackend !== undefined);
}

/** What its peers see, which may be an earlier one than it was issued. */
function presented({ weft, mTLS }: DataplaneInsightSpec): string {
  return weft?.acknowledged?.certificate?.backend ?? mTLS?.issuedBackend ?? '';
}

const names = (mtls: MeshMtls): readonly string[] => mtls.backends?.map(({ name }) => name) ?? [];

function dropped(before: MeshMtls, after: MeshMtls): readonly string[] {
  const kept = names(after);
  return names(before).filter((name) => !kept.includes(name));
}

function some(proxies: readonly (readonly [string, unknown])[]): string {
  const shown = proxies.slice(0, 3).map(([name]) => name);
  const noun = proxies.length === 1 ? 'proxy' : 'proxies';
  return `${proxies.length} connected ${noun} (${shown.join(', ')}${proxies.length > 3 ? ', ...' : ''})`;
}
