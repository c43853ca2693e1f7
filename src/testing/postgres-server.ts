import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Client } from 'pg';

/** A real PostgreSQL server in a temporary directory, on a free port of 127.0.0.1. */
export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** An empty database of its own for one test; returns its name. */
  createDatabase(): Promise<string>;
  /** Runs one statement in a database as the owner. */
  query(database: string, sql: string): Promise<readonly Record<string, unknown>[]>;
  /** Starts the server again after `stop`; resolves when it takes connections. */
  start(): Promise<void>;
  /** `fast` closes connections properly; `crash` kills every process at once, as a lost machine does. */
  stop(how: 'fast' | 'crash'): Promise<void>;
  /** Freezes every process of the server: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Stops the server and removes its directory. */
  close(): Promise<void>;
}

/** Extra settings and files: see PostgreSQL's postgresql.conf. */
export interface PostgresServerOptions {
  readonly settings?: Readonly<Record<string, string>>;
  /** Files for the data directory, by name; readable by the server only. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * Why there is no server to test with, or `undefined` when there is. Looks for `initdb` and `postgres` in PATH and where Debian's package
 * `postgresql` puts them. On a person's machine the tests then skip; under CI=true they are to fail.
 */
export function missingPostgres(): string | undefined {
  return findBinaries() === undefined
    ? 'needs PostgreSQL: no initdb and postgres in PATH or /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)'
    : undefined;
}

const READY = 'database system is ready to accept connections';
const USER = 'weft';
const PASSWORD = 'a-test-password';

/** Throws when the binaries are missing or the server does not start. The caller must `close` it. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const binaries = findBinaries();
  if (binaries === undefined) throw new Error(missingPostgres());
  const owner = findOwner();
  const directory = mkdtempSync(join(tmpdir(), 'weft-postgres-'));
  const data = join(directory, 'data');
  const own = (path: string, mode: number) => {
    chmodSync(path, mode);
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  };
  own(directory, 0o700);
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, PASSWORD);
  own(passwordFile, 0o600);
  await runToEnd(binaries.initdb, owner, [
    ...['--pgdata', data, '--username', USER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
    ...['--encoding', 'UTF8', '--locale', 'C.UTF-8', '--no-sync'],
  ]);
  for (const [name, content] of Object.entries(options.files ?? {})) {
    writeFileSync(join(data, name), content);
    own(join(data, name), 0o600);
  }
  const port = await freePort();
  const settings = {
    fsync: 'off',
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildProcess | undefined;
  let databases = 0;

  /** The server and its children, each a process group of its own. */
  const signalAll = (signal: NodeJS.Signals) => {
    const pid = server?.pid;
    if (pid === undefined) return;
    for (const child of [pid, ...childrenOf(pid)]) {
      try {
        process.kill(child, signal);
      } catch {
        // It ended meanwhile.
      }
    }
  };

  const self: PostgresServer = {
    host: '127.0.0.1',
    port,
    user: USER,
    password: PASSWORD,
    async createDatabase() {
      databases += 1;
      const name = `test_${databases}`;
      await self.query('postgres', `CREATE DATABASE ${name}`);
      return name;
    },
    async query(database, sql) {
      const client = new Client({ host: '127.0.0.1', port, user: USER, password: PASSWORD, database });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows;
      } finally {
        await client.end();
      }
    },
    async start() {
      server = await startServer(binaries.postgres, owner, ['-D', data, '-p', String(port), ...flags]);
    },
    async stop(how) {
      const stopping = server;
      if (stopping === undefined) return;
      const ended = new Promise((resolve) => stopping.once('exit', resolve));
      if (how === 'crash') signalAll('SIGKILL');
      else stopping.kill('SIGINT');
      await ended;
      server = undefined;
    },
    pause: () => signalAll('SIGSTOP'),
    resume: () => signalAll('SIGCONT'),
    async close() {
      signalAll('SIGCONT');
      await self.stop('fast');
      rmSync(directory, { recursive: true });
    },
  };
  await self.start();
  return self;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root: root lends it to `postgres`, or to `nobody`. Anybody else runs it as themselves. */
function findOwner(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const entry = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (entry === undefined)
    throw new Error('start PostgreSQL: it does not run as root, and there is no user postgres or nobody');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

function findBinaries(): { initdb: string; postgres: string } | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const directories = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  const found = directories.find((one) => existsSync(join(one, 'initdb')) && existsSync(join(one, 'postgres')));
  return found === undefined ? undefined : { initdb: join(found, 'initdb'), postgres: join(found, 'postgres') };
}

async function runToEnd(command: string, owner: Owner | undefined, args: string[]): Promise<void> {
  const child = spawn(command, args, { ...owner, stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`run ${command}: it ended with ${code}: ${errors}`);
}

/** Resolves when the server says that it is ready; rejects with its log when it ends before. */
function startServer(command: string, owner: Owner | undefined, args: string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { ...owner, stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  let log = '';
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      if (log.includes(READY)) return;
      log += chunk.toString();
      if (log.includes(READY)) resolve(child);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`start PostgreSQL: it ended with ${code}: ${log}`)));
  });
}

/** Process ids whose parent is `pid`. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('find a free port: the server has no address');
  return address.port;
}
