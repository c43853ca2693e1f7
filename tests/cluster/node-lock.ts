import { existsSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A symbolic link to the state directory of the cluster that has the machine's node; making one is atomic. */
const LOCK = join(tmpdir(), 'weft-cluster-node');
const WAIT_MS = 600_000;
const POLL_MS = 200;

/** Makes this cluster the one with a node; waits while another test has it. `cleanUp` ends what dead runs left. Throws after ten minutes. */
export async function claimNode(directory: string, cleanUp: () => Promise<void>): Promise<void> {
  for (const until = Date.now() + WAIT_MS; !attemptClaim(directory); await sleep(POLL_MS)) {
    await cleanUp();
    if (!existsSync(LOCK)) rmSync(LOCK, { force: true });
    if (Date.now() > until)
      throw new Error(`start a cluster with a node: the machine has one already, that of ${readlinkSync(LOCK)}`);
  }
}

/** Gives the node up, when this cluster has it. */
export function releaseNode(directory: string): void {
  try {
    if (readlinkSync(LOCK) === directory) rmSync(LOCK);
  } catch {
    // Nobody has it.
  }
}

function attemptClaim(directory: string): boolean {
  try {
    symlinkSync(directory, LOCK);
    return true;
  } catch {
    return false;
  }
}
