/** Writes docs/reference/*.md from the sources they describe: `node scripts/generate-docs.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { checksReference } from '../src/cli/check/reference.ts';
import { reportJsonSchema } from '../src/cli/check/report.ts';
import { cliReference } from '../src/cli/reference.ts';
import { configReference } from '../src/control-plane/config-reference.ts';
import { permissionsReference } from '../src/install/permissions-reference.ts';
import { metricsReference } from './metrics-reference.ts';

const folder = new URL('../docs/reference/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('control-plane-config.md', folder), configReference());
writeFileSync(new URL('cli.md', folder), cliReference());
writeFileSync(new URL('checks.md', folder), checksReference());
writeFileSync(new URL('check-report.schema.json', folder), `${JSON.stringify(reportJsonSchema(), null, 2)}\n`);
writeFileSync(new URL('kubernetes-rights.md', folder), permissionsReference());
writeFileSync(new URL('metrics.md', folder), metricsReference());
