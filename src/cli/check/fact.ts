/** Something that was asked for: its value, or why there is none. Gathering never throws; the checks judge. */
export type Fact<T> =
  | { readonly state: 'known'; readonly value: T }
  /** It is not there. */
  | { readonly state: 'absent' }
  /** The caller may not see it, or the question failed. */
  | { readonly state: 'forbidden' | 'failed'; readonly reason: string };

export const known = <T>(value: T): Fact<T> => ({ state: 'known', value });
export const ABSENT: Fact<never> = { state: 'absent' };

/** The value, or `undefined` when there is none. */
export function factValue<T>(fact: Fact<T>): T | undefined {
  return fact.state === 'known' ? fact.value : undefined;
}

/** Why there is no value: `you may not see it (...)`. */
export function whyUnknown(fact: Fact<unknown>): string {
  switch (fact.state) {
    case 'known':
      return '';
    case 'absent':
      return 'it is not there';
    case 'forbidden':
      return `you may not see it (${fact.reason})`;
    case 'failed':
      return fact.reason;
  }
}
