/** Checks on addresses and URIs, the way Go's `net` and `net/url` see them. Pure: nothing is resolved. */

/** Dotted decimal, four parts, no leading zeros. */
function isIPv4(address: string): boolean {
  return /^(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}$/.test(
    address,
  );
}

/** RFC 4291 text form, `::` and a dotted tail included; no zone, no brackets. */
function isIPv6(address: string): boolean {
  const halves = address.split('::');
  if (halves.length > 2 || !address.includes(':')) return false;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1)!;
  const tail = last.at(-1);
  const dotted = tail?.includes('.') === true;
  if (dotted && !isIPv4(tail ?? '')) return false;
  const hex = groups.flat().slice(0, dotted ? -1 : undefined);
  if (!hex.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  const size = hex.length + (dotted ? 2 : 0);
  return halves.length === 2 ? size <= 7 : size === 8;
}

export function isIP(address: string): boolean {
  return isIPv4(address) || isIPv6(address);
}

/** A host name: labels of letters, digits, `-` and `_`, 255 characters at most. */
export function isHostName(name: string): boolean {
  return (
    name.length <= 255 &&
    !isIP(name) &&
    /^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62}(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*[._]?$/.test(name)
  );
}

/** An absolute path or an absolute URI, as in an HTTP request line (RFC 9112, 3.2). */
export function isRequestUri(text: string): boolean {
  if (text.length === 0 || /[\s\p{Cc}]/u.test(text) || /%(?![0-9a-fA-F]{2})/.test(text)) return false;
  return text.startsWith('/') || /^[a-zA-Z][a-zA-Z0-9+.-]*:./.test(text);
}

/** Port as written in `scheme://host:port/...`; '' when there is none. The default port counts only when written. */
export function uriPort(uri: string): string {
  const authority = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]*)/.exec(uri)?.[1] ?? '';
  return /:([0-9]+)$/.exec(authority)?.[1] ?? '';
}

/** Splits `host:port`, `[v6]:port`. `undefined` when it has another form. */
export function splitHostPort(text: string): { readonly host: string; readonly port: string } | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  return match === null ? undefined : { host: match[1] ?? match[2] ?? '', port: match[3]! };
}
