/** From the list of commands to a parsed command line. Only commander knows how words become options. */
import { Command, CommanderError, Option } from 'commander';
import type { CommandSpec, OptionSpec, OptionValues } from './command.ts';
import { COMMANDS, GLOBAL_OPTIONS, GROUPS } from './commands.ts';
import { type CliError, EXIT, usageError } from './errors.ts';
import type { CliIo } from './io.ts';

/** Parses `argv`, runs the command it names, gives the exit code. Throws `CliError` and whatever the command throws. */
export async function parseAndRun(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    await buildProgram(io).parseAsync([...argv], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.ok;
    // Help after a bare group name is an answer, and still not what was meant.
    if (error.code === 'commander.help') return EXIT.usage;
    throw parserError(error);
  }
}

function parserError(error: CommanderError): CliError {
  const [message = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const near = /^\(Did you mean (.*)\?\)$/.exec(hint ?? '')?.[1];
  return usageError(message, near === undefined ? 'see --help' : `did you mean ${near}?`);
}

/** The whole command tree. Nothing of a command's code is loaded yet. */
function buildProgram(io: CliIo): Command {
  const root = new Command('weft').description(
    'Weft: a service mesh control plane, its data plane and its command line, in one program.',
  );
  root.configureOutput({ writeOut: io.stdout, writeErr: io.stderr, outputError: () => {} });
  root.configureHelp({ showGlobalOptions: true }).exitOverride().helpCommand(false);
  for (const spec of GLOBAL_OPTIONS) root.addOption(toOption(spec));
  for (const spec of COMMANDS) addCommand(root, spec, io);
  root.addHelpText(
    'after',
    examplesText([
      ['Start a control plane', 'weft cp run'],
      ['See what runs', 'weft inspect dataplanes'],
    ]),
  );
  return root;
}

function addCommand(root: Command, spec: CommandSpec, io: CliIo): void {
  const words = spec.path.split(' ');
  const parent = words.slice(0, -1).reduce((at, _, index) => groupOf(at, words.slice(0, index + 1).join(' ')), root);
  const command = parent.command(words.at(-1)!).summary(spec.summary);
  command.description([`${spec.summary}.`, spec.details].filter(Boolean).join(' '));
  for (const argument of spec.arguments ?? []) command.argument(argument.name, argument.description);
  for (const option of spec.options ?? []) command.addOption(toOption(option));
  if (spec.examples.length > 0) command.addHelpText('after', examplesText(spec.examples));
  command.action(async () => {
    const { run } = await spec.load();
    // commander keeps undeclared words in `args`; declared ones are there first, absent optional ones are missing.
    await run({ args: command.args, options: command.optsWithGlobals<OptionValues>(), io });
  });
}

function groupOf(parent: Command, path: string): Command {
  const name = path.split(' ').at(-1)!;
  const known = parent.commands.find((command) => command.name() === name);
  if (known !== undefined) return known;
  const group = GROUPS[path];
  const command = parent.command(name).description(group?.summary ?? '');
  if (group !== undefined) command.addHelpText('after', examplesText(group.examples));
  return command.helpCommand(false);
}

function toOption(spec: OptionSpec): Option {
  const fallback = spec.default === undefined ? '' : ` (default: ${spec.default})`;
  const option = new Option(spec.flags, spec.description + fallback);
  // `--no-config` is a flag of its own here, not the opposite of `cp run --config`.
  option.negate = false;
  if (spec.choices !== undefined) option.choices([...spec.choices]);
  if (spec.required === true) option.makeOptionMandatory();
  if (spec.hidden === true) option.hideHelp();
  if (spec.repeat === true)
    option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
  return option;
}

function examplesText(examples: CommandSpec['examples']): string {
  if (examples.length === 0) return '';
  const lines = examples.flatMap(([what, line]) => [`  # ${what}`, `  ${line.replaceAll('\n', '\n  ')}`]);
  return ['', 'Examples:', ...lines].join('\n');
}
