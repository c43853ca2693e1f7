/** Writes deploy/helm, deploy/prometheus and deploy/grafana from src/install: `node scripts/generate-chart.ts`. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VERSION } from '../src/control-plane/version.ts';
import { certificateAlertsFile } from '../src/install/certificate-alerts.ts';
import { certificateDashboard } from '../src/install/certificate-dashboard.ts';
import { chartFiles } from '../src/install/chart.ts';
import { crds } from '../src/k8s/api/crds.ts';
import { policyKinds } from '../src/policies/index.ts';
import { coreKinds } from '../src/resources/kinds/index.ts';

const deploy = join(import.meta.dirname, '../deploy');
const folder = join(deploy, 'helm/weft');
rmSync(folder, { recursive: true, force: true });
for (const [path, text] of chartFiles({ version: VERSION, crds: crds([...coreKinds, ...policyKinds]) })) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}
mkdirSync(join(deploy, 'prometheus'), { recursive: true });
writeFileSync(join(deploy, 'prometheus/weft-alerts.yaml'), certificateAlertsFile());
mkdirSync(join(deploy, 'grafana'), { recursive: true });
writeFileSync(join(deploy, 'grafana/certificates.json'), certificateDashboard());
