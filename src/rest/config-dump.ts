/** What Envoy's own `/config_dump` must not show: the token it presents to the control plane. Source: Kuma 2.11 `pkg/envoy/admin/sanitize.go`. */

const REDACTED = '[redacted]';

/**
 * The dump with the values of every `authorization` call metadata replaced, wherever they stand; otherwise the same bytes as text.
 * Envoy itself redacts private keys. Throws `SyntaxError` when the dump is no JSON: what can't be read can't be shown.
 */
export function redactConfigDump(dump: string): string {
  const tokens = new Set<string>();
  collectTokens(JSON.parse(dump), tokens);
  let text = dump;
  for (const token of tokens) text = text.replaceAll(JSON.stringify(token).slice(1, -1), REDACTED);
  return text;
}

/** `initial_metadata` of gRPC services anywhere in the tree: bootstrap (ADS, HDS), and clusters and listeners that call others. */
function collectTokens(value: unknown, tokens: Set<string>): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    if (key === 'initial_metadata' && Array.isArray(child)) {
      for (const entry of child) {
        if (isHeader(entry) && entry.key.toLowerCase() === 'authorization' && entry.value !== '')
          tokens.add(entry.value);
      }
    }
    collectTokens(child, tokens);
  }
}

function isHeader(entry: unknown): entry is { readonly key: string; readonly value: string } {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'key' in entry &&
    typeof entry.key === 'string' &&
    'value' in entry &&
    typeof entry.value === 'string'
  );
}
