import { spawn } from 'node:child_process';

/** Runs kubectl with arguments and perhaps a text on its standard input. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

/** kubectl (`command`) with one kubeconfig. A call gives its standard output, and throws with its standard error when it fails. */
export function createKubectl(command: string, kubeconfig: string): Kubectl {
  return async (args, input = '') => {
    const child = spawn(command, ['--kubeconfig', kubeconfig, ...args], { stdio: 'pipe' });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    // kubectl may end without having read everything.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ended with ${code}: ${errors.trim()}`);
    return output;
  };
}
