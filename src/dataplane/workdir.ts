import { codeOf, DataplaneError } from './error.ts';
import { fs, path as paths } from './node.ts';

/** Longest unix socket path: `sun_path` of unix(7) without its final zero. */
const MAX_SOCKET_PATH = 107;

/** Names of one proxy's folder and the files in it; nothing of it exists yet. */
export interface WorkdirPlan {
  readonly path: string;
  /** True: the folder must not be there yet, since a stranger could have made it. */
  readonly fresh: boolean;
  readonly bootstrap: string;
  /** Where Envoy's admin API should listen; '' when the path would be too long for a unix socket. */
  readonly adminSocket: string;
  /** Where Envoy writes the address of its admin API. */
  readonly adminAddress: string;
  /** Where Envoy gets its certificate from the launcher; '' when the path would be too long. */
  readonly keySocket: string;
  /** The proxy's key and certificate, for the next run with this folder; '' in a temporary one. The only thing that is left. */
  readonly identity: string;
}

/** `configDir`, or a private folder of a name nobody can guess in `tmpDir`. */
export function planWorkdir(configDir: string, tmpDir: string, randomName: string): WorkdirPlan {
  const path = configDir ? paths.resolve(configDir) : paths.join(tmpDir, `weft-dp-${randomName}`);
  const socket = (name: string) => {
    const full = paths.join(path, name);
    return Buffer.byteLength(full) <= MAX_SOCKET_PATH ? full : '';
  };
  return {
    path,
    fresh: !configDir,
    bootstrap: paths.join(path, 'bootstrap.yaml'),
    adminSocket: socket('admin.sock'),
    adminAddress: paths.join(path, 'admin-address.txt'),
    keySocket: socket('keys.sock'),
    identity: configDir ? paths.join(path, 'identity.json') : '',
  };
}

/**
 * Makes the folder (mode 0700) and writes the bootstrap (mode 0600). The result takes away what is there, but not a folder that
 * was there before, and not the identity for the next run. Throws `options_invalid`.
 */
export function openWorkdir(plan: WorkdirPlan, bootstrap: string): () => void {
  let made = false;
  const remove = () => {
    const identityStays = plan.identity !== '' && fs.existsSync(plan.identity);
    if (made && !identityStays) fs.rmSync(plan.path, { recursive: true, force: true });
    else for (const path of workdirFiles(plan)) fs.rmSync(path, { force: true });
  };
  try {
    made = fs.mkdirSync(plan.path, { recursive: !plan.fresh, mode: 0o700 }) !== undefined || plan.fresh;
    fs.writeFileSync(plan.bootstrap, bootstrap, { mode: 0o600 });
    return remove;
  } catch (error) {
    if (made) remove();
    throw new DataplaneError(
      'options_invalid',
      `write to the folder ${plan.path}: ${codeOf(error)}; give another with --config-dir`,
      { cause: error },
    );
  }
}

/** The files that belong to one run. */
function workdirFiles(plan: WorkdirPlan): string[] {
  return [plan.bootstrap, plan.adminSocket, plan.adminAddress, plan.keySocket].filter((path) => path !== '');
}
