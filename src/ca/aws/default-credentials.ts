import { CaError } from '../backend.ts';
import type { AwsCredentialSource } from './sign.ts';

/**
 * AWS's default chain: environment, web identity (IRSA), container and EKS Pod identity, shared files, instance metadata. Kept and renewed by the AWS library.
 * `region` is where a role is taken on. Throws `CaError` `not-configured` when nothing is found. Loads the library at the first use.
 */
export function createDefaultCredentials(region: string): AwsCredentialSource {
  let chain: Promise<AwsCredentialSource> | undefined;
  return async () => {
    chain ??= import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) =>
      defaultProvider({ clientConfig: { region } }),
    );
    try {
      return await (await chain)();
    } catch (cause) {
      // The chain remembers a refusal, and the role may be given later.
      chain = undefined;
      throw new CaError(
        'not-configured',
        'no AWS credentials were found (environment, web identity, container, shared files, instance metadata); give the control plane a role, or credentials in conf.auth',
        { reason: 'AwsCredentialsMissing', field: 'auth', cause },
      );
    }
  };
}
