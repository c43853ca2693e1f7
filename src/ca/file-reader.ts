import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { isAbsolute, relative } from 'node:path';

/** Largest file a data source may point at. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads files for `file` data sources, from inside `allowedFileRoots` only: whoever may edit a Mesh must not read the control plane's disk
 * (reliability S5). No roots, the default: every file is refused. Links are followed first and judged by where they lead.
 * The errors name the path and the reason, never the content.
 */
export function createFileReader(options: {
  readonly allowedFileRoots: readonly string[];
}): (path: string) => Promise<Buffer> {
  return async (path) => {
    const refused = new Error(
      options.allowedFileRoots.length === 0
        ? `open ${path}: reading files is not allowed; list their directory in allowedFileRoots of the control plane's configuration, or use secret or inline`
        : `open ${path}: outside the directories of allowedFileRoots; add its directory to the control plane's configuration, or use secret or inline`,
    );
    if (!isAbsolute(path) || options.allowedFileRoots.length === 0) throw refused;
    // Judged before anything is looked up too, so that an answer never tells whether a file elsewhere exists.
    if (!options.allowedFileRoots.some((root) => isInside(root, path))) throw refused;
    const real = await realpath(path).catch(() => {
      throw new Error(`open ${path}: no such file or directory`);
    });
    const roots = await Promise.all(options.allowedFileRoots.map((root) => realpath(root).catch(() => root)));
    if (!roots.some((root) => isInside(root, real))) throw refused;
    return readRegularFile(real, path);
  };
}

function isInside(root: string, path: string): boolean {
  const inner = relative(root, path);
  return inner !== '' && inner !== '..' && !inner.startsWith('../') && !isAbsolute(inner);
}

async function readRegularFile(real: string, path: string): Promise<Buffer> {
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error) => {
    throw new Error(
      `open ${path}: ${'code' in error && error.code === 'EACCES' ? 'permission denied' : 'cannot be read'}`,
    );
  });
  try {
    const { size, isFile } = await file.stat().then((stat) => ({ size: stat.size, isFile: stat.isFile() }));
    if (!isFile) throw new Error(`open ${path}: not a regular file`);
    if (size > MAX_FILE_BYTES) throw new Error(`open ${path}: larger than ${MAX_FILE_BYTES} bytes`);
    const content = Buffer.alloc(size);
    const { bytesRead } = await file.read(content, 0, size, 0);
    return content.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
