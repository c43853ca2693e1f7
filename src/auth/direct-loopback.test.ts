import { describe, expect, it } from 'vitest';
import { isDirectLoopback } from './direct-loopback.ts';

type Row = [string, string, Record<string, string | string[] | undefined>, boolean];
const HOST = { host: 'localhost:5681' };

const rows: Row[] = [
  ['plain call to localhost', '127.0.0.1', HOST, true],
  ['IPv6', '::1', { host: '[::1]:5681' }, true],
  ['IPv4 in IPv6 peer', '::ffff:127.0.0.1', { host: '127.0.0.1:5681' }, true],
  ['other address of 127/8', '127.8.9.10', { host: '127.8.9.10' }, true],
  ['upper case and final dot', '127.0.0.1', { host: 'LOCALHOST.:5681' }, true],
  ['a stranger as peer', '10.0.0.5', HOST, false],
  ['a public address', '203.0.113.9', HOST, false],
  ['an IPv6 stranger', 'fe80::1', HOST, false],
  ['IPv4 in IPv6 stranger', '::ffff:10.0.0.5', HOST, false],
  ['no peer', '', HOST, false],
  ['no Host', '127.0.0.1', {}, false],
  ['empty Host', '127.0.0.1', { host: '' }, false],
  ['two Hosts', '127.0.0.1', { host: ['localhost', 'evil.example'] }, false],
  ['DNS rebinding', '127.0.0.1', { host: 'evil.example:5681' }, false],
  ['rebinding with localhost inside', '127.0.0.1', { host: 'localhost.evil.example' }, false],
  ['rebinding with an address inside', '127.0.0.1', { host: '127.0.0.1.nip.io' }, false],
  ['user info in Host', '127.0.0.1', { host: 'localhost@evil.example' }, false],
  ['path in Host', '127.0.0.1', { host: 'localhost/evil' }, false],
  ['number as Host', '127.0.0.1', { host: '2130706433' }, false],
  ['short address as Host', '127.0.0.1', { host: '127.1' }, false],
  ['hex address as Host', '127.0.0.1', { host: '0x7f000001' }, false],
  ['0.0.0.0 as Host', '127.0.0.1', { host: '0.0.0.0:5681' }, false],
  ['name of this machine', '127.0.0.1', { host: 'my-laptop:5681' }, false],
  ['bad port', '127.0.0.1', { host: 'localhost:99999' }, false],
  ['port 0', '127.0.0.1', { host: 'localhost:0' }, false],
  ['empty port', '127.0.0.1', { host: 'localhost:' }, false],
  ['space in Host', '127.0.0.1', { host: 'localhost ' }, false],
  ['X-Forwarded-For', '127.0.0.1', { ...HOST, 'x-forwarded-for': '10.0.0.5' }, false],
  ['X-Forwarded-For with loopback', '127.0.0.1', { ...HOST, 'x-forwarded-for': '127.0.0.1' }, false],
  ['empty X-Forwarded-For', '127.0.0.1', { ...HOST, 'x-forwarded-for': '' }, false],
  ['X-Forwarded-Host', '127.0.0.1', { ...HOST, 'x-forwarded-host': 'mesh.example' }, false],
  ['X-Forwarded-Proto', '127.0.0.1', { ...HOST, 'x-forwarded-proto': 'https' }, false],
  ['Forwarded', '127.0.0.1', { ...HOST, forwarded: 'for=10.0.0.5' }, false],
  ['X-Real-IP', '127.0.0.1', { ...HOST, 'x-real-ip': '10.0.0.5' }, false],
  ['Via', '127.0.0.1', { ...HOST, via: '1.1 proxy' }, false],
  ['Sec-Fetch-Site none (typed in the address bar)', '127.0.0.1', { ...HOST, 'sec-fetch-site': 'none' }, true],
  ['Sec-Fetch-Site same-origin', '127.0.0.1', { ...HOST, 'sec-fetch-site': 'same-origin' }, true],
  ['Sec-Fetch-Site same-site', '127.0.0.1', { ...HOST, 'sec-fetch-site': 'same-site' }, false],
  ['Sec-Fetch-Site cross-site', '127.0.0.1', { ...HOST, 'sec-fetch-site': 'cross-site' }, false],
  ['Sec-Fetch-Site unknown', '127.0.0.1', { ...HOST, 'sec-fetch-site': 'whatever' }, false],
  ['same Origin', '127.0.0.1', { ...HOST, origin: 'http://localhost:5681' }, true],
  ['same Origin in other case', '127.0.0.1', { ...HOST, origin: 'HTTP://LocalHost:5681' }, true],
  ['same Origin, default port said once', '127.0.0.1', { host: 'localhost', origin: 'http://localhost:80' }, true],
  ['same Origin over https, default port', '127.0.0.1', { host: 'localhost:443', origin: 'https://localhost' }, true],
  ['same Origin IPv6', '::1', { host: '[::1]:5681', origin: 'http://[::1]:5681' }, true],
  ['Origin null', '127.0.0.1', { ...HOST, origin: 'null' }, false],
  ['empty Origin', '127.0.0.1', { ...HOST, origin: '' }, false],
  ['Origin of a web page', '127.0.0.1', { ...HOST, origin: 'https://evil.example' }, false],
  ['Origin on another port of this machine', '127.0.0.1', { ...HOST, origin: 'http://localhost:3000' }, false],
  ['Origin by address, Host by name', '127.0.0.1', { ...HOST, origin: 'http://127.0.0.1:5681' }, false],
  ['Origin file', '127.0.0.1', { ...HOST, origin: 'file://localhost:5681' }, false],
  ['Origin with a path', '127.0.0.1', { ...HOST, origin: 'http://localhost:5681/x' }, false],
  ['Origin with user info', '127.0.0.1', { ...HOST, origin: 'http://localhost:5681@evil.example' }, false],
  [
    'Origin and Host both evil (rebinding)',
    '127.0.0.1',
    { host: 'evil.example:5681', origin: 'http://evil.example:5681' },
    false,
  ],
];

describe('localhost is admin', () => {
  it.each(rows)('%s', (_name, peerAddress, headers, expected) => {
    expect(isDirectLoopback({ peerAddress, headers })).toBe(expected);
  });
});
