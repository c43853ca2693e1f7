import { chmod, writeFile } from 'node:fs/promises';
import { type Invocation, listOption, textOption } from '../command.ts';
import { CliError } from '../errors.ts';
import { printText } from '../output/print.ts';

/** `weft generate tls-certificate`. */
export async function run(invocation: Invocation): Promise<void> {
  const { createSelfSigned } = await import('../../control-plane/offline.ts');
  const pair = await createSelfSigned({
    usage: textOption(invocation, 'type') === 'client' ? 'client' : 'server',
    names: listOption(invocation, 'hostname'),
    keyType: textOption(invocation, 'keyType') === 'ecdsa' ? 'ecdsa' : 'rsa',
    now: invocation.io.now(),
  });
  const keyFile = textOption(invocation, 'keyFile') ?? 'key.pem';
  const certFile = textOption(invocation, 'certFile') ?? 'cert.pem';
  await write(invocation, keyFile, pair.keyPem, 0o600);
  await write(invocation, certFile, pair.certPem, 0o644);
  if (keyFile === '-' || certFile === '-') return;
  const text = `Private key saved in ${keyFile}\nCertificate saved in ${certFile}\n`;
  await printText(invocation, text, { keyFile, certFile });
}

async function write(invocation: Invocation, path: string, pem: string, mode: number): Promise<void> {
  if (path === '-') return invocation.io.stdout(pem);
  try {
    await writeFile(path, pem, { mode });
    // An existing file keeps its mode when it is written.
    await chmod(path, mode);
  } catch (error) {
    throw new CliError('input', `write ${path}: ${(error as NodeJS.ErrnoException).code}`, {
      next: 'check the path',
      cause: error,
    });
  }
}
