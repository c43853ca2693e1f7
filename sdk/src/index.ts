/** What a CA backend for Weft is made of. `@weft/ca-backend/contract` has the test of it; the guide is docs/guides/write-a-ca-backend.md. */
export { CaFailure, type CaFailureCode } from './error.ts';
export {
  type BackendContext,
  type CaPlugin,
  type ConfViolation,
  DATA_SOURCE,
  dataSource,
  defineCaPlugin,
  type JsonSchema,
  type Notice,
  type OpenBackend,
  PROTOCOL,
  type SignedChain,
  type SignRequest,
  type TrustAnchors,
} from './plugin.ts';
