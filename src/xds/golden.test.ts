import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { xdsJson } from '../rest/xds-json.ts';
import { generateCase, SIDECAR_CASES, sidecarCases } from '../testing/sidecar-cases.ts';
import { findInconsistencies } from './consistency.ts';
import { MASKED_ADMIN_TLS } from './generate.ts';

/** `UPDATE_GOLDEN=1 vitest run --project unit src/xds/golden.test.ts` writes the outputs anew. */
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

describe('sidecar configuration', () => {
  for (const one of sidecarCases()) {
    test(one.name, async () => {
      const { resources, services } = generateCase(one, MASKED_ADMIN_TLS);
      const actual = {
        services: services === 'all' ? services : [...services].sort(),
        resources: await xdsJson(resources),
      };
      const file = join(SIDECAR_CASES, `${one.name}.out.yaml`);
      if (UPDATE) writeFileSync(file, stringify(actual, { lineWidth: 0 }));
      expect(actual).toEqual(parse(readFileSync(file, 'utf8')));
      expect(findInconsistencies(resources)).toEqual([]);
    });
  }
});
