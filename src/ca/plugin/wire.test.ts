import { expect, it } from 'vitest';
import { createLineReader, readFromProcess } from './wire.ts';

function reader(maxBytes: number) {
  const lines: string[] = [];
  let overflows = 0;
  const read = createLineReader(maxBytes, {
    line: (line) => lines.push(line.toString()),
    overflow: () => {
      overflows += 1;
    },
  });
  return { lines, overflows: () => overflows, read: (text: string) => read(Buffer.from(text)) };
}

it('cuts a stream into lines, wherever its chunks end', () => {
  const { lines, read } = reader(100);
  for (const chunk of ['a', 'b\nc', '', '\n\n', 'd\ne\nf']) read(chunk);
  expect(lines).toEqual(['ab', 'c', 'd', 'e']);
});

it('reads nothing more after a line that is too long', () => {
  const { lines, overflows, read } = reader(4);
  read('1234\n12');
  read('345');
  read('\nabc\n');
  expect(lines).toEqual(['1234']);
  expect(overflows()).toBe(1);
});

it.each([
  '{}',
  '[]',
  'null',
  '{"id":"1","ok":1}',
  '{"id":1.5,"ok":1}',
  '{"id":1,"failure":"x"}',
  '{"session":1,"notice":"other"}',
  '{"__proto__":{},"id":1,"ok":1}',
  `{"id":1,"ok":${'['.repeat(200)}${']'.repeat(200)}}`,
  '{"id":1',
])('refuses %s', (line) => {
  expect(() => readFromProcess(Buffer.from(line))).toThrow();
});
