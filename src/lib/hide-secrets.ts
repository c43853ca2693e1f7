/** Shorter ones would take ordinary words out, and are no secrets. */
const SHORTEST = 8;

/** `text` with `***` in place of each of `secrets`: whoever was given one may repeat it in an error or a log. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  let hidden = text;
  for (const secret of secrets) if (secret.length >= SHORTEST) hidden = hidden.replaceAll(secret, '***');
  return hidden;
}
