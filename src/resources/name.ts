import type { Violation } from './resource.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const OLD_NAME = /^[0-9a-z\-_.]*$/;
const DNS_1035_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const MAX_NAME = 253;
const MAX_LABEL = 63;

/** Violations of a resource name: RFC 1123 subdomain, 253 characters at most. */
export function validateName(name: string, field = 'name'): readonly Violation[] {
  return identifier(
    name,
    field,
    SUBDOMAIN,
    "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  );
}

/** Violations of the mesh a resource is in. Looser than `validateName`: meshes of old may have `_` in their names. */
export function validateMeshName(mesh: string, field = 'mesh'): readonly Violation[] {
  return identifier(
    mesh,
    field,
    OLD_NAME,
    "invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_', '.' symbols.",
  );
}

function identifier(text: string, field: string, pattern: RegExp, message: string): readonly Violation[] {
  if (text === '') return [{ field, message: 'cannot be empty' }];
  if (text.length > MAX_NAME) return [{ field, message: `value length must less or equal ${MAX_NAME}` }];
  return pattern.test(text) ? [] : [{ field, message }];
}

/** The warning for a name that will not do as a DNS label one day; [] when it does. Source: Kuma 2.11, RFC 1035 2.3.1. */
export function dns1035Warnings(type: string, name: string): readonly string[] {
  const reasons = dns1035Problems(name);
  if (reasons.length === 0) return [];
  return [
    `Invalid ${type} resource name: '${name}'. It does not conform to the DNS format (RFC 1035). This is deprecated. Errors: ${reasons.join('; ')}`,
  ];
}

/** Why `name` is no DNS-1035 label, in Kubernetes' words. */
function dns1035Problems(name: string): readonly string[] {
  return [
    ...(name.length > MAX_LABEL ? [tooLong(MAX_LABEL)] : []),
    ...(DNS_1035_LABEL.test(name)
      ? []
      : [
          regexText(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            '[a-z]([-a-z0-9]*[a-z0-9])?',
            ['my-name', 'abc-123'],
          ),
        ]),
  ];
}

/** Why `key` is no label key, in Kubernetes' words: `[prefix/]name`. */
export function labelKeyProblems(key: string): readonly string[] {
  const parts = key.split('/');
  const syntax = regexText(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]',
    ['MyName', 'my.name', '123-abc'],
  );
  if (parts.length > 2) {
    return [`a qualified name ${syntax} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const name = parts.at(-1)!;
  const nameProblems = [
    ...(name === '' ? ['name part must be non-empty'] : []),
    ...(name.length > MAX_LABEL ? [`name part ${tooLong(MAX_LABEL)}`] : []),
    ...(QUALIFIED_NAME.test(name) ? [] : [`name part ${syntax}`]),
  ];
  return parts.length === 2 ? [...prefixProblems(parts[0]!), ...nameProblems] : nameProblems;
}

function prefixProblems(prefix: string): readonly string[] {
  if (prefix === '') return ['prefix part must be non-empty'];
  return [
    ...(prefix.length > MAX_NAME ? [`prefix part ${tooLong(MAX_NAME)}`] : []),
    ...(SUBDOMAIN.test(prefix)
      ? []
      : [
          `prefix part ${regexText(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*',
            ['example.com'],
          )}`,
        ]),
  ];
}

/** Why `value` is no label value, in Kubernetes' words. */
export function labelValueProblems(value: string): readonly string[] {
  return [
    ...(value.length > MAX_LABEL ? [tooLong(MAX_LABEL)] : []),
    ...(value === '' || QUALIFIED_NAME.test(value)
      ? []
      : [
          regexText(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?',
            ['MyValue', 'my_value', '12345'],
          ),
        ]),
  ];
}

function tooLong(max: number): string {
  return `must be no more than ${max} characters`;
}

function regexText(message: string, pattern: string, examples: readonly string[]): string {
  return `${message} (e.g. ${examples.map((example) => `'${example}', `).join(' or ')}regex used for validation is '${pattern}')`;
}
