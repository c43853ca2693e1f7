/**
 * The only door to the X.509 library. It takes about 200 ms to load, so it is always reached by `await loadPeculiar()` and a control plane
 * that needs no certificate never pays for it.
 */
import 'reflect-metadata';

export * from '@peculiar/x509';
