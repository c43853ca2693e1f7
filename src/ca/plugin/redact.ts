/** Takes secrets that a plug-in was given out of what it says. */
export interface Redactor {
  /** From now on these texts, and every long line of them, are `***`. */
  add(secrets: readonly string[]): void;
  /** `text` without secrets and private keys, at most `maxCharacters` long. */
  hide(text: string, maxCharacters: number): string;
  /** As `hide`, on one line. */
  clean(text: string, maxCharacters: number): string;
}

/** Shorter ones would take ordinary words out, and are no secrets. */
const SHORTEST = 8;
const MOST = 2000;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;

export function createRedactor(): Redactor {
  /** The newest are at the end. */
  const known = new Set<string>();
  return {
    add(secrets) {
      for (const secret of secrets) {
        // A key is known by its lines too: what logs JSON, or line by line, breaks it up.
        for (const part of [secret.trim(), ...secret.split('\n').map((line) => line.trim())]) {
          if (part.length < SHORTEST || part.startsWith('-----')) continue;
          known.delete(part);
          known.add(part);
        }
      }
      while (known.size > MOST) known.delete(known.values().next().value!);
    },
    hide,
    clean: (text, maxCharacters) => hide(text, maxCharacters).replace(/\s*[\r\n]+\s*/g, ' | '),
  };

  function hide(text: string, maxCharacters: number): string {
    // What is cut off is not searched: enough is kept that a secret across the cut is still found whole.
    let hidden = text.slice(0, maxCharacters + 8192).replace(PRIVATE_KEY, '***');
    for (const secret of known) if (hidden.includes(secret)) hidden = hidden.replaceAll(secret, '***');
    hidden = hidden.trim();
    return hidden.length > maxCharacters ? `${hidden.slice(0, maxCharacters)}…` : hidden;
  }
}
