/** Constant-rate load without retries, the one of `weft up`. */
export * from '../demo/traffic.ts';
