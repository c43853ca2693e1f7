import { validateDataSource } from '../../resources/kinds/data-source.ts';
import type { Violation } from '../../resources/resource.ts';
import { isGiven, misspelt } from '../conf.ts';

/** What reads one struct of the conf: its fields with their types; what is wrong goes to the violations. */
export interface StructReader {
  readonly struct: Readonly<Record<string, unknown>>;
  readonly path: string;
  text(field: string): string;
  flag(field: string): boolean;
  /** The data source as it is written, checked; `undefined` when absent. */
  source(field: string): unknown;
  /** The struct in `field`; `undefined` when absent. */
  inner(field: string, known: readonly string[]): StructReader | undefined;
  refuse(field: string, message: string): void;
}

export function createStructReader(
  struct: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path: string,
  violations: Violation[],
): StructReader {
  violations.push(...misspelt(struct, known, path));
  const refuse = (field: string, message: string) => violations.push({ field: `${path}.${field}`, message });
  return {
    struct,
    path,
    refuse,
    text(field) {
      const value = struct[field];
      if (!isGiven(value)) return '';
      if (typeof value === 'string') return value.trim();
      refuse(field, 'has to be a string');
      return '';
    },
    flag(field) {
      const value = struct[field];
      if (!isGiven(value)) return false;
      if (typeof value === 'boolean') return value;
      refuse(field, 'has to be true or false');
      return false;
    },
    source(field) {
      const value = struct[field];
      if (!isGiven(value)) return undefined;
      violations.push(...validateDataSource(value, `${path}.${field}`));
      return value;
    },
    inner(field, innerKnown) {
      const value = struct[field];
      if (!isGiven(value)) return undefined;
      if (typeof value === 'object' && !Array.isArray(value)) {
        // Checked the line above; keys of JSON are texts.
        return createStructReader(
          value as Readonly<Record<string, unknown>>,
          innerKnown,
          `${path}.${field}`,
          violations,
        );
      }
      refuse(field, 'has to be an object');
      return undefined;
    },
  };
}

/** True for '' too. */
export function isVaultPath(path: string): boolean {
  return /^[\w.\-/]*$/.test(path) && !path.split('/').some((part) => part === '.' || part === '..');
}
