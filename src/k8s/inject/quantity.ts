/** CPUs of a Kubernetes quantity: `1000m` and `1` are 1. `undefined` for '' and for what is no CPU quantity. */
export function cpuCount(quantity: string): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(quantity) ?? [];
  if (digits === undefined) return undefined;
  return unit === 'm' ? Number(digits) / 1000 : Number(digits);
}
