import { close, closeSync, fdatasync, fsyncSync, open, openSync } from 'node:fs';
import { promisify } from 'node:util';

const openFile = promisify(open);
const closeFile = promisify(close);
const syncFile = promisify(fdatasync);

/** Syncs one file off the event loop; writers that wait together share one sync. */
export interface FileSync {
  /** Resolves when everything written to the file before this call is on the disk. */
  flush(): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/** `path` need not exist before the first `flush`. The file must stay the same one (the same inode) until `close`. */
export function createFileSync(path: string): FileSync {
  let file: Promise<number> | undefined;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  async function sync(): Promise<void> {
    file ??= openFile(path, 'r');
    try {
      await syncFile(await file);
    } catch (error) {
      // A failed open may be tried again.
      const failed = file;
      file = undefined;
      await failed.then(closeFile).catch(() => undefined);
      throw error;
    }
  }

  function start(): Promise<void> {
    const started = sync().finally(() => {
      if (running === started) running = undefined;
    });
    running = started;
    return started;
  }

  return {
    flush() {
      if (running === undefined) return start();
      // The running sync may have begun before this caller's write: the next one serves all who come meanwhile.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          return start();
        });
      return next;
    },
    async close() {
      await (next ?? running)?.catch(() => undefined);
      const opened = file;
      file = undefined;
      if (opened !== undefined) await closeFile(await opened);
    },
  };
}

/** Makes the directory's entries (a new file's name) durable. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
