import { afterEach, describe, expect, it, vi } from 'vitest';
import { createDefaultCredentials } from './default-credentials.ts';

describe('the default chain', () => {
  afterEach(() => vi.unstubAllEnvs());

  const nothing = () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE', 'AWS_WEB_IDENTITY_TOKEN_FILE'])
      vi.stubEnv(name, undefined);
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
  };

  it('takes the credentials of the environment', async () => {
    nothing();
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAFROMENV');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    expect(await createDefaultCredentials('eu-west-1')()).toMatchObject({ accessKeyId: 'AKIAFROMENV' });
  });

  it('says what is missing where there are none, and finds those that come later', async () => {
    nothing();
    const source = createDefaultCredentials('eu-west-1');
    await expect(source()).rejects.toMatchObject({ code: 'not-configured', reason: 'AwsCredentialsMissing' });
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIALATER');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    expect(await source()).toMatchObject({ accessKeyId: 'AKIALATER' });
  });
});
