import { createDemoScreen } from '../../demo/screen.ts';
import { waitFor } from '../../lib/wait.ts';
import { asText, fetchJson, findJson, type Json } from '../api/answers.ts';
import type { ApiClient } from '../api/client.ts';
import { flagOption, type Invocation, meshOf, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError, usageError } from '../errors.ts';
import { formatOf, printText } from '../output/print.ts';
import { rotationLine, rotationText, wrapText } from '../output/rotation.ts';
import { tableText } from '../output/table.ts';

const LOOK_EVERY_MS = 1000;
/** A control plane that restarts is waited for so long. */
const PATIENCE_MS = 120_000;

/** `weft ca rotate`. Exit code 1 when it did not come to the end that was asked for. */
export async function run(invocation: Invocation): Promise<void> {
  const action = actionOf(invocation);
  const client = await openClient(invocation);
  const mesh = meshOf(invocation);
  const rotation = await begin(client, mesh, action, invocation);
  const done =
    action === 'status' || action === 'pause' || flagOption(invocation, 'noWait') || rotation['ended'] === true;
  const last = done ? rotation : await follow(invocation, client, mesh, rotation);
  if (done || formatOf(invocation) !== 'table')
    await printText(invocation, rotationText(last, invocation.io.now()), last);
  if (last['ended'] !== true || action === 'status') return;
  const wanted = action === 'rollback' ? 'RolledBack' : 'Done';
  if (last['phase'] === wanted) return;
  const reason = asText(last['message']);
  throw new CliError(
    'server',
    `ca rotate: the rotation of mesh ${mesh} ended as ${asText(last['phase'])}${reason === '' ? '' : `: ${reason}`}`,
  );
}

type Action = 'start' | 'status' | 'rollback' | 'pause' | 'resume';
const FLAGS = ['status', 'rollback', 'pause', 'resume'] as const;

function actionOf(invocation: Invocation): Action {
  const given = FLAGS.filter((flag) => flagOption(invocation, flag));
  if (given.length > 1) throw usageError(`--${given.join(' and --')} do not go together`, 'give one of them');
  const [action = 'start'] = given;
  const starts = textOption(invocation, 'to') !== undefined || flagOption(invocation, 'renew');
  if (action === 'start' && !starts) {
    throw usageError('say which backend shall issue', 'give --to BACKEND, or --renew for a new CA of the builtin one');
  }
  if (action !== 'start' && starts)
    throw usageError(`--${action} is about the rotation that is under way`, 'leave out --to and --renew');
  return action;
}

async function begin(client: ApiClient, mesh: string, action: Action, invocation: Invocation): Promise<Json> {
  const path = ['meshes', mesh, '_ca-rotation'];
  const post = (body: object, doing: string) => fetchJson(client, { method: 'POST', path, body, doing });
  switch (action) {
    case 'start':
      return post(
        {
          to: textOption(invocation, 'to'),
          renew: flagOption(invocation, 'renew'),
          offline: textOption(invocation, 'offline') ?? 'wait',
          dropOld: flagOption(invocation, 'dropOld'),
        },
        `change the CA of mesh ${mesh}`,
      );
    case 'pause':
    case 'resume':
      return post({ paused: action === 'pause' }, `${action} the CA rotation of mesh ${mesh}`);
    case 'rollback':
      return fetchJson(client, { method: 'DELETE', path, doing: `take back the CA rotation of mesh ${mesh}` });
    case 'status':
      return look(client, mesh);
    default:
      return action satisfies never;
  }
}

async function look(client: ApiClient, mesh: string): Promise<Json> {
  const doing = `look at the CA rotation of mesh ${mesh}`;
  const found = await findJson(client, { method: 'GET', path: ['meshes', mesh, '_ca-rotation'], doing });
  if (found !== undefined) return found;
  throw new CliError('not-found', `${doing}: there was none`, {
    next: `begin one with weft ca rotate --mesh ${mesh} --to BACKEND`,
  });
}

/** Shows how far it is until it has ended: one table that is redrawn for a person, a line for each change elsewhere. */
async function follow(invocation: Invocation, client: ApiClient, mesh: string, first: Json): Promise<Json> {
  const { io } = invocation;
  const show = progressOf(invocation);
  let rotation = first;
  let answeredAt = io.now();
  for (;;) {
    show(rotation);
    if (rotation['ended'] === true) return rotation;
    await waitFor(LOOK_EVERY_MS, io.signal);
    if (io.signal.aborted) throw interrupted(mesh);
    try {
      rotation = await look(client, mesh);
      answeredAt = io.now();
    } catch (error) {
      if (io.signal.aborted) throw interrupted(mesh);
      const isAway = error instanceof CliError && (error.code === 'connection' || error.code === 'server');
      if (!isAway || io.now() - answeredAt > PATIENCE_MS) throw error;
    }
  }
}

function progressOf({ io, options }: Invocation): (rotation: Json) => void {
  if (options['output'] === 'json' || options['output'] === 'yaml') return () => undefined;
  if (!io.terminal) {
    let last = '';
    return (rotation) => {
      const line = rotationLine(rotation);
      if (line !== last) io.stdout(`${line}\n`);
      last = line;
    };
  }
  const columns = () => process.stdout.columns ?? 120;
  const screen = createDemoScreen({
    isTTY: true,
    columns,
    write: io.stdout,
    table: tableText,
  });
  return (rotation) => screen.draw(wrapText(rotationText(rotation, io.now()), columns() - 1));
}

function interrupted(mesh: string): CliError {
  const rotate = `weft ca rotate --mesh ${mesh}`;
  return new CliError('refused', 'interrupted; the rotation goes on in the control plane', {
    next: `see it with ${rotate} --status, hold it with ${rotate} --pause, take it back with ${rotate} --rollback`,
  });
}
