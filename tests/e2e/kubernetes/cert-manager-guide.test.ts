import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingCluster } from '../../cluster/binaries.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { weftImages } from '../../cluster/images.ts';
import { createGuideShell, type GuideShell, ROOT, shellBlocks, WEFT_FUNCTION } from '../guide-shell.ts';
import { freePort } from '../mesh.ts';

const missing = missingCluster('node');
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing);

/** cert-manager and both images are there already: what the blocks marked "elsewhere" would bring. */
describe.skipIf(missing !== undefined)(
  `docs/guides/cert-manager.md${missing === undefined ? '' : ` (${missing})`}`,
  () => {
    let cluster: Cluster;
    let home: string;
    let shell: GuideShell;

    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'weft-guide-'));
      const images = await weftImages();
      cluster = await startCluster({ level: 'node', certManager: { webhook: true } });
      for (const tar of images) await cluster.loadImage(tar);
      shell = createGuideShell(WEFT_FUNCTION, {
        ...process.env,
        HOME: home,
        KUBECONFIG: cluster.kubeconfig,
        PATH: `${dirname(cluster.kubectlProgram)}:${process.env['PATH']}`,
      });
    }, 1_200_000);

    afterAll(async () => {
      await shell?.[Symbol.asyncDispose]();
      await cluster?.stop();
      await rm(home, { recursive: true, force: true });
    });

    it('every command works', async () => {
      const port = await freePort();
      const guide = await readFile(join(ROOT, 'docs/guides/cert-manager.md'), 'utf8');
      const text = guide
        // The port of this machine, not the one of the control plane.
        .replaceAll(/(?<!:)5681|(?<=localhost:)5681/g, String(port))
        // A file that a reader would make in the current folder.
        .replaceAll(/(?<=[ >=])ca\.pem\b/g, `${home}/ca.pem`);
      const outputs: string[] = [];
      for (const { kind, script } of shellBlocks(text)) {
        if (kind === 'elsewhere') continue;
        if (kind === 'background') {
          shell.background(script);
          continue;
        }
        const { code, output } = await shell.run(script);
        outputs.push(output);
        expect(code, `${script}\n${output}`).toBe(0);
      }
      const all = outputs.join('\n');
      expect(all).toContain('spec.mtls.backends[0].conf.isuerRef');
      expect(all).toMatch(/issuer-trial .*: issued a certificate/);
      // Before and after the CA was rotated.
      expect(all.match(/requests ok, \d+ failed/g)).toEqual(['requests ok, 0 failed', 'requests ok, 0 failed']);
      expect(all).toMatch(/"issuer":"CN=my-ca".*spiffe:\/\/default\/web_weft-demo_svc_8080/);
      expect(all).toMatch(/web-\S+\.weft-demo .*Online/);
    }, 900_000);
  },
);
