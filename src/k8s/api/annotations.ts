/** Values of annotations and labels, read as Kuma reads them. Texts of the errors: Kuma 2.11 `metadata.Annotations`. */

/** An annotation says something that cannot be. The message is for the owner of the object. */
export class AnnotationError extends Error {
  readonly annotation: string;
  constructor(annotation: string, message: string) {
    super(message);
    this.name = 'AnnotationError';
    this.annotation = annotation;
  }
}

export type Annotations = Readonly<Record<string, string>> | undefined;

const YES = new Set(['enabled', 'true', 'yes']);
const NO = new Set(['disabled', 'false', 'no']);

/** `enabled`, `true`, `yes` and their opposites; `undefined` when absent. Throws `AnnotationError` for any other word. */
export function flagAnnotation(annotations: Annotations, name: string): boolean | undefined {
  const value = annotations?.[name];
  if (value === undefined) return undefined;
  if (YES.has(value)) return true;
  if (NO.has(value)) return false;
  throw new AnnotationError(name, `annotation "${name}" has wrong value "${value}"`);
}

/** A TCP port; `undefined` when absent. Throws `AnnotationError`. */
export function portAnnotation(annotations: Annotations, name: string): number | undefined {
  const value = annotations?.[name];
  if (value === undefined) return undefined;
  const port = Number(value);
  if (/^[0-9]{1,5}$/.test(value) && port < 65536) return port;
  throw new AnnotationError(
    name,
    `failed to parse annotation "${name}": "${value}" is not a port in the range [0, 65535]`,
  );
}

/** Words between commas, spaces around them and empty ones dropped; `undefined` when absent. */
export function listAnnotation(annotations: Annotations, name: string): readonly string[] | undefined {
  return annotations?.[name]
    ?.split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}
