import { describe, expect, it } from 'vitest';
import { redactConfigDump } from './config-dump.ts';

const ads = (value: string, key = 'authorization') => ({
  bootstrap: {
    dynamic_resources: {
      ads_config: {
        grpc_services: [
          { envoy_grpc: { cluster_name: 'ads_cluster' }, initial_metadata: [{ key, value }] },
          { initial_metadata: [{ key: 'x-other', value: 'kept' }] },
        ],
      },
    },
  },
});

describe('redactConfigDump', () => {
  it('hides the token of the proxy wherever it stands', () => {
    const dump = JSON.stringify({ configs: [ads('eyJ.secret.token'), { copy: 'Bearer eyJ.secret.token' }] }, null, 1);
    const shown = redactConfigDump(dump);
    expect(shown).not.toContain('secret');
    expect(JSON.parse(shown)).toEqual({ configs: [ads('[redacted]'), { copy: 'Bearer [redacted]' }] });
  });
  it('finds a token that JSON escapes, under any spelling of the header', () => {
    const dump = JSON.stringify({ configs: [ads('a"b\\c', 'Authorization')] });
    expect(JSON.parse(redactConfigDump(dump))).toEqual({ configs: [ads('[redacted]', 'Authorization')] });
  });
  it('leaves a dump without tokens as it is', () => {
    const dump = '{ "configs": [ { "initial_metadata": [ { "key": "authorization", "value": "" } ] } ] }';
    expect(redactConfigDump(dump)).toBe(dump);
  });
  it('shows nothing of a dump that it cannot read', () => {
    expect(() => redactConfigDump('{"configs": [')).toThrow(SyntaxError);
  });
});
