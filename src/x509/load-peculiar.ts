/** Loads the X.509 library on first use; later calls give the same module. */
export function loadPeculiar(): Promise<typeof import('./peculiar.ts')> {
  return import('./peculiar.ts');
}
