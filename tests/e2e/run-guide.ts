import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { createGuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from './guide-shell.ts';
import { freePort } from './mesh.ts';

export interface GuideOptions {
  /** Below `docs/guides/`. */
  readonly guide: string;
  /** Ports that the guide and its example files name besides those of the control plane: each becomes a free one, or the one given. */
  readonly ports?: Readonly<Record<string, number | undefined>>;
  /** Goes before each script. */
  readonly prologue?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** sed commands for the example files, besides the ports. */
  readonly edits?: readonly string[];
  /** Folders of the repository that the guide uses besides `docs`. */
  readonly folders?: readonly string[];
  /** Files in the reader's home. */
  readonly files?: Readonly<Record<string, string>>;
}

const CONTROL_PLANE_PORTS = { 5678: undefined, 5680: undefined, 5681: undefined };

/**
 * Runs a guide that starts a control plane of its own, from the first command to the last, as a reader would in an empty folder that is also the home.
 * Each command must end well. Resolves with all that was printed.
 */
export async function runGuide(options: GuideOptions): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'weft-guide-'));
  try {
    const ports = new Map<string, number>();
    for (const [port, own] of Object.entries({ ...CONTROL_PLANE_PORTS, ...options.ports }))
      ports.set(port, own ?? (await freePort()));
    const text = await readFile(join(ROOT, 'docs/guides', options.guide), 'utf8');
    const edits = [...[...ports].map(([port, own]) => `s/\\b${port}\\b/${own}/`), ...(options.edits ?? [])].join(';');
    /** The ports become those of this test; in the example files too: each use becomes a copy. */
    const here = (script: string) =>
      [...ports]
        .reduce((now, [port, own]) => now.replaceAll(new RegExp(`(?<=[:\\s])${port}\\b`, 'g'), String(own)), script)
        .replaceAll(/docs\/examples\/[\w-]+\.yaml/g, (path) => `<(sed '${edits}' ${path})`);
    await mkdir(join(home, '.weft'));
    await writeFile(join(home, '.weft', 'config'), contextOf(`http://localhost:${ports.get('5681')}`));
    for (const folder of ['docs', ...(options.folders ?? [])]) await symlink(join(ROOT, folder), join(home, folder));
    for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(home, name), content);
    await using shell = createGuideShell(
      [
        `export KUMA_DP_SERVER_PORT=${ports.get('5678')} KUMA_DIAGNOSTICS_SERVER_PORT=${ports.get('5680')}`,
        `export KUMA_API_SERVER_HTTP_PORT=${ports.get('5681')} KUMA_API_SERVER_HTTPS_ENABLED=false`,
        WEFT_FUNCTION,
        ...(options.prologue ?? []),
        `cd ${home}`,
      ].join('\n'),
      {
        ...process.env,
        HOME: home,
        XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? home, '.cache'),
        ...options.env,
      },
    );
    let output = '';
    for (const block of shellBlocks(text)) {
      const { kind } = block;
      if (kind === 'elsewhere') continue;
      const script = here(block.script);
      if (kind === 'background') {
        shell.background(script);
        continue;
      }
      const result = await shell.run(script);
      output += result.output;
      expect(result.code, `${script}\n${result.output}`).toBe(0);
    }
    return output;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** A CLI configuration that leads to this control plane without a flag. */
function contextOf(url: string): string {
  return JSON.stringify({
    controlPlanes: [{ name: 'guide', coordinates: { apiServer: { url } } }],
    contexts: [{ name: 'guide', controlPlane: 'guide' }],
    currentContext: 'guide',
  });
}
