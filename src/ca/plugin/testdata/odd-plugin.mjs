/** A CA plug-in that does what its `conf.does` says, each time it is asked to sign. */
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import process from 'node:process';

const never = () => new Promise(() => {});

const DEEDS = {
  exit: () => process.exit(3),
  throws: () => {
    throw new Error('the issuer is on holiday');
  },
  refuses: () => {
    throw Object.assign(new Error('no such role'), { code: 'denied', fix: 'step ca role add web\nstep ca reload' });
  },
  'throws null': () => {
    throw null;
  },
  'throws what has no text': () => {
    throw {
      toString() {
        throw new Error('no');
      },
    };
  },
  'rejects with nothing': () => Promise.reject(),
  'unhandled rejection': () => {
    Promise.reject(new Error('nobody listens'));
    return never();
  },
  'uncaught exception': () => {
    setTimeout(() => {
      throw new Error('nobody catches');
    });
    return never();
  },
  'never answers': never,
  loops: () => {
    for (;;);
  },
  'eats the heap': () => {
    const all = [];
    for (;;) all.push(new Array(1000).fill(all.length));
  },
  'eats memory beside the heap': async () => {
    const all = [];
    for (;;) {
      all.push(Buffer.alloc(16 * 1024 * 1024, 1));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  'answers nothing': () => undefined,
  'answers a number': () => 42,
  'answers a circle': () => {
    const circle = {};
    circle.circle = circle;
    return circle;
  },
  'answers an empty text': () => ({ chainPem: '' }),
  'answers HTML': () => ({ chainPem: '<html>502 Bad Gateway</html>' }),
  'answers a huge text': () => ({ chainPem: 'x'.repeat(5_000_000) }),
  'answers a deep text': () => {
    let deep = {};
    for (let depth = 0; depth < 500; depth++) deep = { deep };
    return { chainPem: 'x', deep };
  },
  'answers twice': () => {
    for (let id = 0; id < 50; id++) writeSync(3, `${JSON.stringify({ id, ok: { chainPem: 'forged' } })}\n`);
    return { chainPem: 'late' };
  },
  'writes garbage to the channel': () => {
    writeSync(3, 'HELLO WORLD\n');
    return never();
  },
  'floods the channel': async () => {
    const line = `${JSON.stringify({ id: 0, ok: 'x'.repeat(10_000) })}\n`;
    for (;;) {
      try {
        writeSync(3, line);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  },
  'floods the channel with small messages': async () => {
    const lines = '{"id":0,"ok":0}\n'.repeat(1000);
    for (;;) {
      try {
        writeSync(3, lines);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  },
  'sends a line without end': async () => {
    for (;;) {
      try {
        writeSync(3, 'x'.repeat(10_000));
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  },
  'floods its output': async () => {
    for (let count = 0; count < 100_000; count++) console.log(`line ${count} ${'x'.repeat(100)}`);
    return { chainPem: 'done' };
  },
  'looks around': () => {
    const seen = { env: Object.keys(process.env).sort() };
    const tries = {
      environ: () => readFileSync(`/proc/${process.ppid}/environ`),
      passwd: () => readFileSync('/etc/passwd'),
      write: () => writeFileSync('/tmp/weft-odd-plugin', ''),
      spawn: () => process.getBuiltinModule('node:child_process').execFileSync('id'),
    };
    for (const [name, attempt] of Object.entries(tries)) {
      try {
        attempt();
        seen[name] = 'done';
      } catch (error) {
        seen[name] = error.code;
      }
    }
    throw new Error(JSON.stringify(seen));
  },
};

export default {
  protocol: '1.0',
  type: 'odd',
  confSchema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      does: { type: 'string', enum: ['nothing', 'notices too much', 'tells', ...Object.keys(DEEDS)] },
      token: { type: 'string', 'x-weft-data-source': true },
      anchors: { type: 'string', 'x-weft-data-source': true },
      address: { type: 'string', format: 'uri' },
      count: { type: 'integer', minimum: 1 },
    },
  },
  limits: { concurrency: 3, perSecond: 7 },
  async validate({ token }) {
    return token === 'bad' ? [{ field: 'token', message: `is refused: ${token}` }] : [];
  },
  open(conf, { mesh, backend, log }) {
    return {
      notices(listener) {
        if (conf.does === 'notices too much') setInterval(() => listener({ kind: 'changed' }), 1);
      },
      trustAnchors: async () => ({ pem: conf.anchors ?? '', refreshAfterMs: 60_000 }),
      async sign(_request, signal) {
        if (conf.does === 'tells') {
          console.log(`the token of ${mesh}/${backend} is ${conf.token}`);
          console.error(JSON.stringify(conf));
          log.warn(`again: ${conf.token}`);
          throw new Error(`it was ${conf.token}`);
        }
        signal.addEventListener('abort', () => log.info('cancelled'));
        return DEEDS[conf.does]();
      },
    };
  },
};
