import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readKeyPair } from '../../src/ca/key-pair.ts';
import { createLocalSigner } from '../../src/ca/local-signer.ts';
import { createRequest } from '../../src/testing/ca-contract.ts';
import { createTestCa } from '../../src/testing/certificates.ts';
import { inspectCsr } from '../../src/x509/csr.ts';
import { parsePem } from '../../src/x509/pem.ts';
import { ROOT } from './guide-shell.ts';
import { runGuide } from './run-guide.ts';

const TOKEN = 'my-ca-token';
const GUIDE = join(ROOT, 'docs/guides/write-a-ca-backend.md');

describe('docs/guides/write-a-ca-backend.md', () => {
  let home = '';
  let guide = '';
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'weft-plugin-guide-'));
    guide = await readFile(GUIDE, 'utf8');
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  it('has commands that work', async () => {
    const output = await runGuide({ guide: 'write-a-ca-backend.md', folders: ['sdk'] });
    expect(output).toMatch(/handshake/);
    expect(output).toContain('mtls.backends[0].conf.kee');
  }, 120_000);

  it('has code that passes its own test, and the compiler', async () => {
    const issuer = await startIssuer();
    try {
      const [code, test] = [...guide.matchAll(/^```js(?: test)?\n(.*?)^```$/gms)].map(([, block]) => block!);
      const folder = join(home, 'my-ca');
      mkdirSync(folder);
      await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'my-ca', type: 'module' }));
      await writeFile(join(folder, 'index.js'), code!);
      await writeFile(join(folder, 'contract.test.js'), test!);
      await node(folder, [join(ROOT, 'sdk/build.mjs')]);
      cpSync(join(ROOT, 'sdk/dist'), join(folder, 'node_modules/@weft/ca-backend/dist'), { recursive: true });
      cpSync(join(ROOT, 'sdk/package.json'), join(folder, 'node_modules/@weft/ca-backend/package.json'));
      symlinkSync(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'));
      symlinkSync(join(ROOT, 'node_modules/undici-types'), join(folder, 'node_modules/undici-types'));
      const { port } = issuer.address() as AddressInfo;
      const env = { MY_CA_URL: `http://127.0.0.1:${port}`, MY_CA_TOKEN: TOKEN };
      expect(await node(folder, ['--test', '--test-reporter=tap'], env)).toMatch(/^# fail 0$/m);
      const strict = ['--strict', '--checkJs', '--allowJs', '--noEmit', '--types', 'node'];
      const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
      await node(folder, [tsc, ...strict, '--module', 'nodenext', '--target', 'es2024', 'index.js']);
    } finally {
      issuer.close();
    }
  }, 120_000);
});

/** Standard output of Node; rejects with both outputs. */
async function node(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { NODE_TEST_CONTEXT: _, ...own } = process.env;
  const ran = promisify(execFile)(process.execPath, [...args], { cwd, env: { ...own, ...env } });
  return ran.then(
    ({ stdout }) => stdout,
    (error: Error & { readonly stdout: string; readonly stderr: string }) => {
      throw new Error(`${error.message}\n${error.stdout}\n${error.stderr}`);
    },
  );
}

/** The issuer that the code of the guide asks. */
async function startIssuer(): Promise<Server> {
  const ca = await createTestCa();
  const { certificates, keys } = await readKeyPair(Buffer.from(ca.pem), Buffer.from(ca.keyPem));
  const signer = createLocalSigner({ mesh: 'default', name: 'my-ca', certificates, key: keys.privateKey });
  const sign = async (csrPem: string, lifetimeMs: number) => {
    const { uriSans, publicKey } = await inspectCsr(parsePem(csrPem)[0]!.der);
    return signer.sign(createRequest('default', { uriSans, publicKey, lifetimeMs }), Date.now()).pem;
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://issuer');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      if (request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(403).end();
      if (pathname === '/root') return void response.end(ca.pem);
      const signed = sign(Buffer.concat(chunks).toString(), Number(searchParams.get('seconds')) * 1000);
      await signed.then(
        (pem) => response.end(pem),
        () => response.writeHead(400).end(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
