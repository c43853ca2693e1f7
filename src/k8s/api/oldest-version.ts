/** Oldest Kubernetes that Weft is installed on: native sidecars are there since 1.29, the `sleep` of a preStop hook since 1.30. */
export const OLDEST_KUBERNETES = '1.30';
