import { describe, expect, it } from 'vitest';
import { createDemoScreen } from './screen.ts';
import { rotationLine, tableRows } from './view.ts';

function terminal(isTTY: boolean, columns = 80) {
  const parts: string[] = [];
  return {
    text: () => parts.join(''),
    terminal: { isTTY, columns: () => columns, write: (text: string) => void parts.push(text), table: () => '' },
  };
}

describe('createDemoScreen', () => {
  it('writes plain lines off a terminal', () => {
    const { text, terminal: plain } = terminal(false);
    const screen = createDemoScreen(plain);
    screen.step('control plane', 420);
    screen.draw('table');
    screen.line('rotated');
    expect(text()).toBe('✓ control plane (0.42 s)\nrotated\n');
  });

  it('redraws its lower part in place and puts lines above it', () => {
    const { text, terminal: tty } = terminal(true, 21);
    const screen = createDemoScreen(tty);
    screen.draw('one\ntwo\n');
    screen.draw('x'.repeat(30));
    screen.line('rotated');
    screen.keep();
    screen.line('end');
    expect(text()).toBe(`one\ntwo\n\x1b[2A\r\x1b[J${'x'.repeat(20)}\n\x1b[1A\r\x1b[Jrotated\n${'x'.repeat(20)}\nend\n`);
  });
});

describe('the table', () => {
  const view = {
    name: 'api-1',
    certificate: { serial: 'bbbbbbbbbbbbbbbb', spiffeId: 'spiffe://default/api', validFrom: 0, expiresAt: 15_000 },
    insight: { issuer: 'builtin/ca-1', sent: 9, acknowledged: 8, rejected: 1 },
    serials: ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb'],
  };
  const traffic = { sent: 7, ok: 5, failed: 1, outcomes: {}, failures: [], slowestMs: 1 };

  it('shows what is known of a proxy, and dashes before', () => {
    expect(
      tableRows([view, { name: 'web-1', certificate: undefined, insight: undefined, serials: [] }], traffic, 500),
    ).toEqual([
      ['api-1', 'spiffe://default/api', 'bbbbbbbbbbbb', 'builtin/ca-1', '15s', '1', '8/9 (1 REFUSED)', '5', '1'],
      ['web-1', '-', '-', '-', '-', '0', '-', '5', '1'],
    ]);
    expect(tableRows([view], traffic, 15_001)[0]![4]).toBe('EXPIRED');
  });

  it('tells a rotation with both serials', () => {
    expect(rotationLine(view, 0)).toBe(
      'api-1: rotation 1, certificate aaaaaaaaaaaa replaced by bbbbbbbbbbbb, valid for 15s',
    );
  });
});
