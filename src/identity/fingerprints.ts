/** For `push/`, which tells what proxies trust and knows no X.509. */
export { fingerprintsOf } from '../x509/fingerprints.ts';
