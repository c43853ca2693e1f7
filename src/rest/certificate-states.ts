import type { ShownState } from '../identity/certificate-view.ts';

/** What the states of a certificate mean, for the API's description and its refusals. */
const MEANINGS: Readonly<Record<ShownState, string>> = {
  none: 'there is none: mTLS is off, nobody connected yet, or none could be issued',
  valid: 'in use, and its renewal has not come',
  due: 'its renewal has begun; ordinary',
  overdue: 'it should have been replaced by now: something is in the way',
  expired: 'its time is over',
  external: 'somebody else issues it',
  unknown: 'another control plane has not written down yet what its proxy has',
};

export const STATES = Object.keys(MEANINGS) as [ShownState, ...ShownState[]];

export const STATES_TEXT = STATES.map((state) => `${state}: ${MEANINGS[state]}`).join('. ');
