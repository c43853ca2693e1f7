/**
 * Names made from a proxy's tags, as in `{{ tag "kuma.io/service" | replace "_" "-" }}.mesh`: the subset of Go's text/template that Kong Mesh documents
 * for `commonName` (kuma-compat 1.3). Text, actions, the functions `tag` and `replace`, pipes, quoted strings, `{{-` and `-}}`.
 */
export interface NameTemplate {
  /** The tags it looks at. */
  readonly tags: readonly string[];
  /** A tag the proxy does not have is ''. */
  render(tags: ReadonlyMap<string, string>): string;
}

/** Reads a template. Throws an `Error` that says what cannot be read. */
export function parseNameTemplate(text: string): NameTemplate {
  const parts: ((tags: ReadonlyMap<string, string>) => string)[] = [];
  const seen: string[] = [];
  let rest = text;
  let trimNext = false;
  for (;;) {
    const open = rest.indexOf('{{');
    let literal = open === -1 ? rest : rest.slice(0, open);
    const trimEnd = open !== -1 && /^\{\{-\s/.test(rest.slice(open));
    if (trimNext) literal = literal.trimStart();
    if (trimEnd) literal = literal.trimEnd();
    if (literal !== '') parts.push(() => literal);
    if (open === -1) break;
    const close = rest.indexOf('}}', open);
    if (close === -1) throw new Error('"{{" has no "}}"');
    let action = rest.slice(open + 2, close);
    trimNext = /\s-$/.test(action);
    action = action.replace(/^-\s/, '').replace(/\s-$/, '');
    parts.push(readPipeline(action, seen));
    rest = rest.slice(close + 2);
  }
  return { tags: [...new Set(seen)], render: (tags) => parts.map((part) => part(tags)).join('') };
}

type Step = (value: string, tags: ReadonlyMap<string, string>) => string;

function readPipeline(action: string, seen: string[]): (tags: ReadonlyMap<string, string>) => string {
  const steps = splitPipes(action).map((command, index) => readCommand(command, index > 0, seen));
  return (tags) => steps.reduce((value, step) => step(value, tags), '');
}

function readCommand(words: readonly Word[], piped: boolean, seen: string[]): Step {
  const [head, ...rest] = words;
  if (head === undefined) throw new Error('an action is empty');
  if (head.quoted) {
    if (piped || rest.length > 0) throw new Error(`a text can only begin an action: ${JSON.stringify(head.text)}`);
    return () => head.text;
  }
  const named = rest.find((word) => !word.quoted);
  if (named !== undefined) throw new Error(`${head.text} takes quoted text, found ${named.text}`);
  const args = rest.map(({ text }) => text);
  if (head.text === 'tag') {
    if (args.length + (piped ? 1 : 0) !== 1) throw new Error('tag takes one name, such as tag "kuma.io/service"');
    if (args[0] === undefined) return (value, tags) => tags.get(value) ?? '';
    seen.push(args[0]);
    return (_value, tags) => tags.get(args[0]!) ?? '';
  }
  if (head.text === 'replace') {
    if (args.length + (piped ? 1 : 0) !== 3) {
      throw new Error('replace takes two texts and stands behind a pipe, such as | replace "_" "-"');
    }
    const [from, to, fixed] = args as [string, string, string?];
    return (value) => (fixed ?? value).replaceAll(from, () => to);
  }
  throw new Error(`function ${JSON.stringify(head.text)} is not defined; there are tag and replace`);
}

interface Word {
  readonly text: string;
  readonly quoted: boolean;
}

const WORD = /\s*(?:(\|)|("(?:[^"\\\n]|\\.)*")|`([^`]*)`|([A-Za-z_][A-Za-z0-9_]*))/y;

/** The commands between pipes, each as its words. */
function splitPipes(action: string): Word[][] {
  const commands: Word[][] = [[]];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < action.trimEnd().length) {
    const at = WORD.lastIndex;
    const match = WORD.exec(action);
    if (match === null) throw new Error(`cannot read ${JSON.stringify(action.slice(at).trim().slice(0, 40))}`);
    const [, pipe, quoted, raw, name] = match;
    if (pipe !== undefined) commands.push([]);
    else if (quoted !== undefined) commands.at(-1)!.push({ text: unquote(quoted), quoted: true });
    else commands.at(-1)!.push({ text: raw ?? name ?? '', quoted: raw !== undefined });
  }
  return commands;
}

function unquote(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw new Error(`cannot read the text ${quoted.slice(0, 40)}`);
  }
}
