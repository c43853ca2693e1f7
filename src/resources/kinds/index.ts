import type { Kind } from '../kind.ts';
import { caRotationKind } from './ca-rotation.ts';
import { configKind } from './config.ts';
import { containerPatchKind } from './container-patch.ts';
import { dataplaneKind } from './dataplane.ts';
import { dataplaneInsightKind } from './dataplane-insight.ts';
import { globalSecretKind } from './global-secret.ts';
import { issuanceStateKind } from './issuance-state.ts';
import { meshKind } from './mesh.ts';
import { meshDistrustKind } from './mesh-distrust.ts';
import { meshInsightKind } from './mesh-insight.ts';
import { pendingLeafKind } from './pending-leaf.ts';
import { renewalRequestKind } from './renewal-request.ts';
import { sealedLeafKind } from './sealed-leaf.ts';
import { secretKind } from './secret.ts';
import { serviceInsightKind } from './service-insight.ts';
import { zoneKind } from './zone.ts';

/** Every kind that is not a policy. `createRegistry([...coreKinds, ...policyKinds])` makes the program's registry. */
export const coreKinds: readonly Kind[] = [
  meshKind,
  dataplaneKind,
  dataplaneInsightKind,
  meshInsightKind,
  serviceInsightKind,
  secretKind,
  globalSecretKind,
  zoneKind,
  configKind,
  containerPatchKind,
  sealedLeafKind,
  pendingLeafKind,
  caRotationKind,
  renewalRequestKind,
  issuanceStateKind,
  meshDistrustKind,
];
