import { describe, expect, it } from 'vitest';
import type { TargetRef } from '../policies/core/target-ref.ts';
import type { Resource } from '../resources/resource.ts';
import { type InboundPolicySpec, inboundRules, policiesFor } from './proxy-rules.ts';

const meta = (name: string, labels: Record<string, string> = {}) => ({
  mesh: 'default',
  name,
  labels,
  creationTime: '',
  modificationTime: '',
  version: '',
});
const dataplane = {
  type: 'Dataplane',
  meta: meta('web-1'),
  spec: { networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'web' } }] } },
};

function policy(name: string, spec: InboundPolicySpec, labels = {}): Resource<InboundPolicySpec> {
  return { type: 'MeshTrafficPermission', meta: meta(name, labels), spec };
}
const from = (action: string, targetRef: TargetRef) => ({ targetRef, default: { action } });
const summary = (policies: readonly Resource<InboundPolicySpec>[]) =>
  inboundRules(dataplane, policies).flatMap(({ fromRules }) =>
    fromRules.map(({ matchers, conf, origin }) => {
      const clients = matchers.map(({ key, value, not }) => `${not ? '!' : ''}${key}=${value}`).join(' ');
      return `${clients || 'everyone'}: ${(conf as { action: string }).action} (${origin.map(({ meta }) => meta.name)})`;
    }),
  );

describe('inboundRules', () => {
  it('shows what holds for each combination of client tags', () => {
    const all = policy('all', { from: [from('Allow', { kind: 'Mesh' })] });
    expect(summary([all])).toEqual(['everyone: Allow (all)']);
    const some = policy('some', {
      targetRef: { kind: 'MeshService', name: 'web' },
      from: [from('Deny', { kind: 'MeshSubset', tags: { team: 'red' } })],
    });
    expect(summary([some, all])).toEqual(['team=red: Deny (all,some)', '!team=red: Allow (all)']);
  });

  it('does not give a client two values of one tag', () => {
    const both = policy('both', {
      from: [from('Allow', { kind: 'MeshService', name: 'a' }), from('Deny', { kind: 'MeshService', name: 'b' })],
    });
    expect(summary([both])).toEqual(['kuma.io/service=a: Allow (both)', 'kuma.io/service=b: Deny (both)']);
  });

  it('stays small with many tags', () => {
    const items = Array.from({ length: 40 }, (_, index) => from('Allow', { kind: 'MeshService', name: `s${index}` }));
    expect(summary([policy('many', { from: items })])).toHaveLength(40);
  });

  it('leaves out policies of others and shadows, and keeps `rules` as they are', () => {
    const other = policy('other', {
      targetRef: { kind: 'MeshService', name: 'db' },
      from: [from('Allow', { kind: 'Mesh' })],
    });
    const shadow = policy('shadow', { from: [from('Allow', { kind: 'Mesh' })] }, { 'kuma.io/effect': 'shadow' });
    expect(policiesFor(dataplane, [other, shadow])).toEqual([]);
    expect(inboundRules(dataplane, [other, shadow])).toEqual([]);
    const rules = policy('rules', { rules: [{ default: { allow: [] } }, { default: { deny: [] } }] });
    expect(inboundRules(dataplane, [rules])[0]?.entries).toEqual([
      { conf: { allow: [] }, origin: rules, ruleIndex: 0 },
      { conf: { deny: [] }, origin: rules, ruleIndex: 1 },
    ]);
  });
});
