import { VERSION } from '../../control-plane/version.ts';
import { demoManifests } from '../../install/demo.ts';
import { type Invocation, meshOf, textOption } from '../command.ts';
import { usageError } from '../errors.ts';
import { printManifests } from '../output/manifests.ts';

const DEFAULT_RATE = 50;

/** `weft install demo`. */
export async function run(invocation: Invocation): Promise<void> {
  const rate = Number(textOption(invocation, 'requestsPerSecond') ?? DEFAULT_RATE);
  if (!Number.isInteger(rate) || rate < 1 || rate > 10_000)
    throw usageError('--requests-per-second: must be a whole number from 1 to 10000');
  const manifests = demoManifests({
    namespace: textOption(invocation, 'namespace') ?? 'weft-demo',
    systemNamespace: textOption(invocation, 'systemNamespace') ?? 'kong-mesh-system',
    mesh: meshOf(invocation),
    image: textOption(invocation, 'image') ?? `weft/control-plane:${VERSION}`,
    requestsPerSecond: rate,
  });
  await printManifests(invocation, manifests);
}
