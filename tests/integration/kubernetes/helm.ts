import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lookUpProgram } from '../../../src/dataplane/machine.ts';
import { clusterBinaries } from '../../cluster/binaries.ts';

export const PROJECT = join(import.meta.dirname, '../../..');
export const CHART = join(PROJECT, 'deploy/helm/weft');

/** Why there can be no Helm here, or `undefined`. */
export function missingHelm(): string | undefined {
  if (process.env['HELM'] !== undefined) {
    return existsSync(process.env['HELM']) ? undefined : `HELM names ${process.env['HELM']}, which is not there`;
  }
  return lookUpProgram('go', process.env) === undefined
    ? 'needs Go to build Helm once, or HELM=/path/to/helm'
    : undefined;
}

/** Path of a real Helm: that of HELM, else one built from its Go module and kept. */
export async function helmProgram(): Promise<string> {
  return process.env['HELM'] ?? (await clusterBinaries('helm')).program('helm');
}
