import { createDefaultCredentials } from '../aws/default-credentials.ts';
import type { AwsCredentialSource, AwsCredentials } from '../aws/sign.ts';
import { type BackendConfig, type CaDependencies, CaError } from '../backend.ts';
import { loadDataSource } from '../data-source.ts';
import type { AcmPcaConf } from './conf.ts';

/** Given keys are read again so often: a file may change without anybody being told. */
const REREAD_MS = 30_000;

/** The credentials of `conf`, or those of the default chain. */
export function credentialSource(
  conf: Pick<AcmPcaConf, 'credentials' | 'arn'>,
  config: BackendConfig,
  deps: CaDependencies,
): AwsCredentialSource {
  const given = conf.credentials;
  if (given === undefined) return createDefaultCredentials(conf.arn.region);
  let read: { readonly at: number; readonly credentials: Promise<AwsCredentials> } | undefined;
  return () => {
    const now = deps.now();
    if (read === undefined || Math.abs(now - read.at) > REREAD_MS) {
      const credentials = loadCredentials(given, config, deps);
      credentials.catch(() => {
        read = undefined;
      });
      read = { at: now, credentials };
    }
    return read.credentials;
  };
}

async function loadCredentials(
  given: NonNullable<AcmPcaConf['credentials']>,
  config: BackendConfig,
  deps: CaDependencies,
): Promise<AwsCredentials> {
  const load = async (name: keyof typeof given): Promise<string> => {
    const [value, problem] = await loadCredential(config.mesh, given[name], deps);
    if (problem === undefined) return value;
    throw new CaError('not-configured', `conf.auth.awsCredentials.${name} ${problem}`, {
      reason: 'CredentialsMissing',
      field: `auth.awsCredentials.${name}`,
    });
  };
  return { accessKeyId: await load('accessKey'), secretAccessKey: await load('accessKeySecret') };
}

/** The text of a data source without line breaks around it, or what is wrong with it. */
export async function loadCredential(
  mesh: string,
  source: unknown,
  deps: CaDependencies,
): Promise<readonly [value: string, problem: string | undefined]> {
  try {
    const value = (await loadDataSource(mesh, source, deps)).toString('utf8').trim();
    // It becomes part of a header.
    return /^[!-~]{16,256}$/.test(value)
      ? [value, undefined]
      : ['', 'is no key of AWS: one word of 16 or more characters'];
  } catch (error) {
    return ['', error instanceof Error ? error.message : 'could not load data'];
  }
}
