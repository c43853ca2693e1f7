/**
 * Is `a` an older state than `b`, or the same? Kubernetes lets clients compare resource versions of one collection as whole numbers since 1.35 (KEP-5504);
 * before that it was so for everything kept in etcd, where a resource version is the number of the write. What is no such number is never called older:
 * then whatever comes last counts.
 */
export function isNotNewer(a: string, b: string): boolean {
  if (a === b) return true;
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}

const DECIMAL = /^[1-9][0-9]*$/;
