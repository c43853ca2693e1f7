import { VERSION } from '../../control-plane/version.ts';
import { asText, fetchJson, type Json } from '../api/answers.ts';
import { flagOption, type Invocation, textOption } from '../command.ts';
import { openClient } from '../contexts.ts';
import { CliError } from '../errors.ts';
import { printText } from '../output/print.ts';

/** A control plane that answers later than this is as good as absent for a version line. */
const PATIENCE = '2s';

/** `weft version`. Never fails for an absent control plane. */
export async function run(invocation: Invocation): Promise<void> {
  const client = {
    product: 'Weft',
    version: VERSION,
    node: process.version,
    platform: `${process.platform}/${process.arch}`,
  };
  const server = await serverVersion(invocation);
  const said = 'unreachable' in server ? server.unreachable : serverText(server);
  const text = flagOption(invocation, 'detailed')
    ? detailedText(client, server)
    : `Client: ${client.product} ${client.version}\nServer: ${said}\n`;
  await printText(invocation, text, { client, server });
}

/** Our control plane gives Kuma as its product, for kumactl's sake; what tells it is the Kuma it is based on. */
function serverText(server: Json): string {
  const based = asText(server['basedOnKuma']);
  const product = based !== '' && server['product'] === 'Kuma' ? 'Weft' : asText(server['product']);
  return `${product} ${asText(server['version'])}${based === '' ? '' : ` (API of Kuma ${based})`}`;
}

async function serverVersion(invocation: Invocation): Promise<Json | { readonly unreachable: string }> {
  const options = { ...invocation.options, apiTimeout: textOption(invocation, 'apiTimeout') ?? PATIENCE };
  try {
    const client = await openClient({ ...invocation, options });
    return await fetchJson(client, { method: 'GET', path: [], doing: 'ask for its version' });
  } catch (error) {
    if (error instanceof CliError) return { unreachable: `unknown (${error.message})` };
    throw error;
  }
}

function detailedText(
  client: Readonly<Record<string, string>>,
  server: Json | { readonly unreachable: string },
): string {
  const rows = [
    ['Product', client['product']],
    ['Version', client['version']],
    ['Node', client['node']],
    ['Platform', client['platform']],
  ];
  const lines = rows.map(([name, value]) => `${`${name}:`.padEnd(15)}${value}\n`).join('');
  const shown = 'unreachable' in server ? server.unreachable : JSON.stringify(server, null, 3);
  return `${lines}Server: ${shown}\n`;
}
