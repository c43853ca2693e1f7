import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { iptablesRemoval, iptablesRules } from './iptables.ts';
import { nftRemoval, nftRules } from './nft.ts';
import { parseRedirectOptions } from './parse.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');
const CASES = readdirSync(TESTDATA).flatMap((name) => /^(.*)\.in\.yaml$/.exec(name)?.[1] ?? []);

/** Regenerate the expected files with `vitest -u`. */
describe.each(CASES)('rules of %s', (name) => {
  const options = parse(readFileSync(join(TESTDATA, `${name}.in.yaml`), 'utf8'));
  const parsed = parseRedirectOptions(options, '0.0.0');
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  const file = (form: string) => join(TESTDATA, `${name}.${form}`);

  it('nft', async () => {
    await expect(nftRules(parsed.config)).toMatchFileSnapshot(file('nft'));
  });

  it('iptables', async () => {
    await expect(iptablesRules(parsed.config, 4, '')).toMatchFileSnapshot(file('iptables'));
    await expect(iptablesRules(parsed.config, 6, '')).toMatchFileSnapshot(file('ip6tables'));
  });
});

/** As `iptables-save` shows it, with chains of somebody else. */
const SAVED = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:KUMA_MESH_OUTBOUND - [0:0]
:KUMA_MESH_PROXY - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND
-A KUMA_MESH_OUTBOUND -m owner --uid-owner 5678 -g KUMA_MESH_PROXY
-A KUMA_MESH_OUTBOUND -p tcp -j REDIRECT --to-ports 15001
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
COMMIT
`;

describe('removal', () => {
  it('takes away our chains and jumps, nobody else’s', () => {
    expect(iptablesRemoval({ version: '0.0.0' }, SAVED)).toBe(`# weft 0.0.0: transparent proxy
*nat
-D OUTPUT -p tcp -j KUMA_MESH_OUTBOUND
-F KUMA_MESH_OUTBOUND
-F KUMA_MESH_PROXY
-X KUMA_MESH_OUTBOUND
-X KUMA_MESH_PROXY
COMMIT
`);
  });

  it('comes first when rules are installed again', () => {
    const parsed = parseRedirectOptions({}, '0.0.0');
    const lines = 'config' in parsed ? iptablesRules(parsed.config, 4, SAVED).split('\n') : [];
    expect(lines.indexOf('-X KUMA_MESH_PROXY')).toBeLessThan(lines.indexOf('-N KUMA_MESH_PROXY'));
    expect(lines.filter((line) => line.includes('-j KUMA_MESH_OUTBOUND'))).toEqual([
      '-D OUTPUT -p tcp -j KUMA_MESH_OUTBOUND',
      '-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND',
    ]);
  });

  it('deletes the nft table, which is made first so that this never fails', () => {
    expect(nftRemoval({ version: '0.0.0' })).toBe(
      '# weft 0.0.0: transparent proxy\ntable inet kuma_mesh\ndelete table inet kuma_mesh\n',
    );
  });
});

describe('parseRedirectOptions', () => {
  it.each([
    ['proxyUid', 'root'],
    ['proxyUid', '0'],
    ['redirectInbound', 'yes'],
    ['redirectInboundPort', '0'],
    ['redirectOutboundPort', '65536'],
    ['excludeInboundPorts', '80-70'],
    ['excludeOutboundPorts', '80;90'],
    ['excludeInboundIps', '10.0.0.0/33'],
    ['excludeOutboundIps', 'example.com'],
    ['excludeOutboundPortsForUids', '443'],
    ['excludeOutboundPortsForUids', 'icmp:1:2'],
    ['excludeOutboundPortsForUids', 'tcp:1:2:3'],
    ['ipFamilyMode', 'ipv6'],
    ['dropInvalidPackets', '1'],
  ] as const)('refuses %s %s', (option, value) => {
    expect(parseRedirectOptions({ [option]: value }, '0')).toEqual({
      problems: [{ option, value, wanted: expect.any(String) }],
    });
  });

  it('tells everything that is wrong at once', () => {
    const parsed = parseRedirectOptions({ proxyUid: 'x', ipFamilyMode: 'y' }, '0');
    expect('problems' in parsed && parsed.problems.map((problem) => problem.option)).toEqual([
      'proxyUid',
      'ipFamilyMode',
    ]);
  });
});
