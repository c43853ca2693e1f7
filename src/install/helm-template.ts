import { stringify } from 'yaml';
import { type Condition, type Hole, isHole, type Template, type ValueHole, type WithEntriesHole } from './template.ts';

/** One template as text of the Helm template language; it gives what `render.ts` gives for the same values. */
export function printHelmTemplate(template: Template): string {
  return `${printTop(template).join('\n')}\n`;
}

function printTop(template: Template): readonly string[] {
  if (!isHole(template) || template.$ !== 'when') return printBlock(template, 0, '.');
  return [`{{- if ${condition(template.test, '.')} }}`, ...printTop(template.then), '{{- end }}'];
}

/** Lines of a map or list whose first column is `indent`. `root` is how values are reached: `$.` where the dot is another. */
function printBlock(template: Template, indent: number, root: string): readonly string[] {
  if (Array.isArray(template)) {
    return (template as readonly Template[]).flatMap((item) => printItem(item, indent, root));
  }
  if (isHole(template)) {
    if (template.$ === 'with') return printWithEntries(template, indent, root);
    throw new Error(`print a template: ${template.$} stands where a map or list is needed`);
  }
  return Object.entries(template as { readonly [key: string]: Template }).flatMap(([key, entry]) =>
    printEntry(key, entry, indent, root),
  );
}

function printEntry(key: string, entry: Template, indent: number, root: string): readonly string[] {
  const pad = ' '.repeat(indent);
  if (isHole(entry) && entry.$ === 'when') {
    const inner = printEntry(key, entry.then, indent, root);
    return [`${pad}{{- if ${condition(entry.test, root)} }}`, ...inner, `${pad}{{- end }}`];
  }
  const word = plainScalar(key);
  const inline = printInline(entry, root);
  if (inline !== undefined) return [`${pad}${word}: ${inline}`];
  if (isHole(entry) && entry.$ === 'value') {
    return [`${pad}${word}:`, `${pad}  {{- toYaml ${expression(entry, root)} | nindent ${indent + 2} }}`];
  }
  return [`${pad}${word}:`, ...printBlock(entry, indent + 2, root)];
}

function printItem(item: Template, indent: number, root: string): readonly string[] {
  const pad = ' '.repeat(indent);
  if (isHole(item)) {
    switch (item.$) {
      case 'when':
        return [
          `${pad}{{- if ${condition(item.test, root)} }}`,
          ...printItem(item.then, indent, root),
          `${pad}{{- end }}`,
        ];
      case 'items':
        return [
          `${pad}{{- with ${expression(item.of, root)} }}`,
          `${pad}{{- toYaml . | nindent ${indent} }}`,
          `${pad}{{- end }}`,
        ];
      case 'each':
        return [
          `${pad}{{- range $key, $item := ${expression(item.of, root)} }}`,
          ...printItem(item.item, indent, '$.'),
          `${pad}{{- end }}`,
        ];
    }
  }
  const inline = printInline(item, root);
  if (inline !== undefined) return [`${pad}- ${inline}`];
  const [first = '', ...rest] = printBlock(item, indent + 2, root);
  if (!first.startsWith(`${pad}  {{-`)) return [`${pad}- ${first.slice(indent + 2)}`, ...rest];
  // A condition comes first: the dash has a line of its own.
  return [`${pad}-`, first, ...rest];
}

function printWithEntries(hole: WithEntriesHole, indent: number, root: string): readonly string[] {
  const pad = ' '.repeat(indent);
  const own = Object.keys(hole.own).map((key) => JSON.stringify(key));
  const [only, ...more] = hole.of.map((value) => expression(value, root));
  // `merge` keeps what is there already: the later map wins, as in render.ts.
  const given = more.length === 0 ? only : `(merge (dict) ${[...more.reverse(), only].join(' ')})`;
  return [
    ...printBlock(hole.own, indent, root),
    `${pad}{{- with omit ${given} ${own.join(' ')} }}`,
    `${pad}{{- toYaml . | nindent ${indent} }}`,
    `${pad}{{- end }}`,
  ];
}

/** What fits behind a key; `undefined` for what needs lines of its own. */
function printInline(template: Template, root: string): string | undefined {
  if (template === null || typeof template !== 'object') return plainScalar(template);
  if (!isHole(template)) return Object.keys(template).length > 0 ? undefined : Array.isArray(template) ? '[]' : '{}';
  switch (template.$) {
    case 'text': {
      const format = template.parts
        .map((part) => (typeof part === 'string' ? part.replaceAll('%', '%%') : '%v'))
        .join('');
      const given = template.parts.filter((part) => typeof part !== 'string').map((part) => expression(part, root));
      return `{{ printf ${JSON.stringify(format)} ${given.join(' ')} | toJson }}`;
    }
    case 'value':
      return template.shape === 'scalar' ? `{{ ${expression(template, root)} | toJson }}` : undefined;
    case 'when':
    case 'each':
    case 'items':
    case 'with':
      return undefined;
    default:
      return `{{ ${expression(template, root)} | toJson }}`;
  }
}

function expression(hole: Hole, root: string): string {
  switch (hole.$) {
    case 'value':
      return `${root}Values.${hole.path}`;
    case 'namespace':
      return `${root}Release.Namespace`;
    case 'version':
      return `${root}Chart.AppVersion`;
    case 'key':
      return '$key';
    case 'item':
      return hole.field === undefined ? '$item' : `$item.${hole.field}`;
    case 'digest':
      return `(sha256sum ${expression(hole.of, root)})`;
    case 'first':
      return `(coalesce ${hole.of.map((one) => expression(one, root)).join(' ')})`;
    default:
      return hole satisfies never;
  }
}

function condition(test: Condition, root: string): string {
  const value = expression(test.value satisfies ValueHole, root);
  return test.is === 'set' ? value : `not (hasKey ${value} ${JSON.stringify(test.key)})`;
}

/** A scalar as one line of YAML that holds nothing of the template language. */
function plainScalar(scalar: string | number | boolean | null): string {
  const text = stringify(scalar, { lineWidth: 0 }).trimEnd();
  return escapeTemplate(text.includes('\n') ? JSON.stringify(scalar) : text);
}

/** YAML text that Helm prints as it is. */
export function escapeTemplate(text: string): string {
  return text.replaceAll('{{', '{{ "{{" }}');
}
