import { asJson, asList, asText, fetchJson, fetchText, type Json } from '../api/answers.ts';
import { flagOption, type Invocation, listOption, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { usageError } from '../errors.ts';
import { formatOf, print, printText } from '../output/print.ts';

/** The three kinds of proxy that can be looked into, with the REST collection of each. */
export const PROXIES: Readonly<
  Record<string, { readonly collection: string; readonly inMesh: boolean; readonly kind: string }>
> = {
  dataplane: { collection: 'dataplanes', inMesh: true, kind: 'Dataplane' },
  zoneingress: { collection: 'zoneingresses', inMesh: false, kind: 'ZoneIngress' },
  zoneegress: { collection: 'zoneegresses', inMesh: false, kind: 'ZoneEgress' },
};

/** `weft inspect dataplane|zoneingress|zoneegress NAME`. */
export async function inspectProxy(invocation: Invocation, what: string, name: string): Promise<void> {
  const proxy = PROXIES[what]!;
  const type = textOption(invocation, 'type') ?? (proxy.inMesh ? 'policies' : 'config-dump');
  checkOptions(invocation, type, proxy.inMesh);
  const path = [...(proxy.inMesh ? ['meshes', meshOf(invocation)] : []), proxy.collection, name];
  const doing = `inspect ${proxy.kind} ${name}`;
  const client = await openClient(invocation);
  if (type === 'policies') {
    const rules = await fetchJson(client, { method: 'GET', path: [...path, '_rules'], doing });
    return print(invocation, rules, () => ({ headers: ['POLICY', 'APPLIES TO', 'FROM'], rows: ruleRows(rules) }));
  }
  const wantsData = formatOf(invocation) !== 'table';
  const text = await fetchText(client, { method: 'GET', ...requestOf(invocation, type, path, wantsData), doing });
  // Envoy's answers are text or JSON by endpoint; JSON is shown in the wanted form, text stays text.
  await printText(invocation, text, parsedOr(text));
}

function requestOf(invocation: Invocation, type: string, path: readonly string[], wantsData: boolean) {
  const json = wantsData ? { format: 'json' } : {};
  switch (type) {
    case 'config': {
      const include = listOption(invocation, 'include');
      const shadow = flagOption(invocation, 'shadow') ? 'true' : undefined;
      return {
        path: [...path, '_config'],
        query: { shadow, include: include.length > 0 ? include.join(',') : undefined },
      };
    }
    case 'stats':
      return { path: [...path, 'stats'], query: json };
    case 'clusters':
      return { path: [...path, 'clusters'], query: json };
    default:
      return {
        path: [...path, 'xds'],
        query: { include_eds: flagOption(invocation, 'includeEds') ? 'true' : undefined },
      };
  }
}

function checkOptions(invocation: Invocation, type: string, isDataplane: boolean): void {
  if (!isDataplane && (type === 'policies' || type === 'config')) {
    throw usageError(`--type: "${type}" is there for dataplanes only`, 'use config-dump, stats or clusters');
  }
  if (type !== 'config' && flagOption(invocation, 'shadow'))
    throw usageError('--shadow can be used with --type config only');
  if (type !== 'config' && listOption(invocation, 'include').length > 0) {
    throw usageError('--include can be used with --type config only');
  }
  if (type !== 'config-dump' && flagOption(invocation, 'includeEds')) {
    throw usageError('--include-eds can be used with --type config-dump only');
  }
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { text };
  }
}

/** One row per policy and what it applies to, from the answer of `_rules`. Source: compatibility reference 5.2. */
function ruleRows(rules: Json): readonly (readonly string[])[] {
  return asList(rules['rules']).flatMap((rule) => {
    const type = asText(rule['type']);
    const rows: string[][] = [];
    for (const one of asList(rule['toRules'])) rows.push([type, `to ${matchersText(one)}`, originText(one['origin'])]);
    for (const one of asList(rule['toResourceRules'])) {
      const meta = asJson(one['resourceMeta']);
      const section = asText(one['resourceSectionName']);
      rows.push([
        type,
        `to ${asText(meta['type'])} ${asText(meta['name'])}${section && `:${section}`}`,
        originText(one['origin']),
      ]);
    }
    for (const from of [...asList(rule['fromRules']), ...asList(rule['inboundRules'])]) {
      const port = `inbound ${String(asJson(from['inbound'])['port'] ?? '')}`;
      for (const one of asList(from['rules']))
        rows.push([type, `${port}, from ${matchersText(one)}`, originText(one['origin'])]);
    }
    if (rule['proxyRule'] !== undefined)
      rows.push([type, 'the proxy', originText(asJson(rule['proxyRule'])['origin'])]);
    return rows;
  });
}

function matchersText(rule: Json): string {
  const parts = asList(rule['matchers']).map(
    (one) => `${asText(one['key'])}${one['not'] === true ? '!=' : '='}${asText(one['value'])}`,
  );
  return parts.length === 0 ? 'everyone' : parts.join(' ');
}

function originText(origin: unknown): string {
  return asList(origin)
    .map((one) => asText(asJson(one['resourceMeta'] ?? one)['name']))
    .join(', ');
}
