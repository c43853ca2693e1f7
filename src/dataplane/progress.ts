import type { EnvoyProgress } from './envoy-binary.ts';

const WIDTH = 28;
const MEGABYTE = 1e6;

/** Where progress is shown. */
export interface ProgressScreen {
  readonly isTTY: boolean;
  write(text: string): void;
}

/**
 * Shows the fetching of Envoy: a bar redrawn in place on a terminal, a line per stage and per 25 % elsewhere.
 * The result is `onProgress` of `findEnvoy`.
 */
export function createEnvoyProgress(screen: ProgressScreen): (progress: EnvoyProgress) => void {
  let last = '';
  return (progress) => {
    const text = screen.isTTY ? describeBar(progress) : describeLine(progress);
    if (text === last) return;
    last = text;
    if (!screen.isTTY) screen.write(`${text}\n`);
    else screen.write(progress.stage === 'ready' ? `\r\x1b[2K${text}\n` : `\r\x1b[2K${text}`);
  };
}

function describeBar({ stage, bytes, totalBytes }: EnvoyProgress): string {
  const size =
    totalBytes > 0 ? `${mb(Math.min(bytes, totalBytes))}/${mb(totalBytes)} MB` : bytes > 0 ? `${mb(bytes)} MB` : '';
  if (stage !== 'downloading' || totalBytes === 0) return `${label(stage)} ${size}`.trimEnd();
  const filled = Math.round(WIDTH * Math.min(1, bytes / totalBytes));
  return `${label(stage)} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${size}`;
}

function describeLine({ stage, bytes, totalBytes }: EnvoyProgress): string {
  if (stage !== 'downloading' || totalBytes === 0) return label(stage);
  const quarter = Math.floor((4 * Math.min(bytes, totalBytes)) / totalBytes) * 25;
  return `${label(stage)} ${quarter}% of ${mb(totalBytes)} MB`;
}

function label(stage: EnvoyProgress['stage']): string {
  switch (stage) {
    case 'waiting':
      return 'Envoy: another process is fetching it';
    case 'downloading':
      return 'Envoy: downloading';
    case 'unpacking':
      return 'Envoy: unpacking';
    case 'ready':
      return 'Envoy: ready';
    default:
      return stage satisfies never;
  }
}

function mb(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(1);
}
