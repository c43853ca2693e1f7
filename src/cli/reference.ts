import { DATAPLANE_FLAGS } from '../dataplane/flags.ts';
import type { CommandSpec, OptionSpec } from './command.ts';
import { COMMANDS, GLOBAL_OPTIONS, GROUPS } from './commands.ts';

/** `docs/reference/cli.md`, printed from the list of commands. */
export function cliReference(): string {
  return [
    '# The `weft` command line',
    '',
    '<!-- Printed by scripts/generate-docs.ts from src/cli/commands.ts; do not edit. -->',
    '',
    ...INTRODUCTION,
    '',
    '## Options of every command',
    '',
    ...optionTable(GLOBAL_OPTIONS),
    '',
    '`dp run` has its own options only.',
    ...COMMANDS.flatMap(commandSection),
    '',
  ].join('\n');
}

const INTRODUCTION = [
  "One program: control plane (`cp`), data plane (`dp`), a demo on this machine (`up`), and kumactl's verbs with its flags and columns.",
  '',
  '- **Which control plane:** `--cp-address`, else `--context`, else the current context of `~/.weft/config`, else of `~/.kumactl/config`, else',
  '  `http://localhost:5681`. `config control-planes` changes `~/.weft/config`; the first time it starts from what kumactl knows.',
  '- **Output:** tables for people, `-o yaml` and `-o json` for programs. Results go to stdout; errors, warnings and progress to stderr. No colour and',
  '  no progress when stderr is not a terminal or `NO_COLOR` is set.',
  '- **Errors:** one line with the field, the reason and the next step; several wrong fields are listed below it. With `-o json`:',
  '  `{"error": {"code", "message", "fields": [{"field", "reason"}], "next"}}`.',
  '- **Exit codes:** `0` done; `1` failed (the API refused, could not be reached, a file could not be read); `2` the command line is wrong.',
  '- **TLS:** the certificate of an HTTPS API is always checked, unless the control plane was added with `--skip-verify`; then every command warns.',
];

function commandSection(spec: CommandSpec): string[] {
  const group = spec.path.includes(' ') ? spec.path.slice(0, spec.path.lastIndexOf(' ')) : undefined;
  const about = group === undefined ? undefined : GROUPS[group];
  const isFirst = group !== undefined && COMMANDS.find((one) => one.path.startsWith(`${group} `)) === spec;
  const words = [`weft ${spec.path}`, ...(spec.arguments ?? []).map(({ name }) => name), '[options]'];
  const options =
    spec.path === 'dp run' ? dataplaneTable() : optionTable((spec.options ?? []).filter((one) => one.hidden !== true));
  return [
    ...(isFirst && about !== undefined ? ['', `## weft ${group}`, '', `${about.summary}.`] : []),
    '',
    `${group === undefined ? '##' : '###'} weft ${spec.path}`,
    '',
    [`${spec.summary}.`, spec.details].filter(Boolean).join(' '),
    '',
    '```',
    words.join(' '),
    '```',
    ...(spec.arguments ?? []).flatMap(({ name, description }, index) => [
      ...(index === 0 ? [''] : []),
      `- \`${name}\`: ${description}`,
    ]),
    ...(options.length > 2 ? ['', ...options] : []),
    '',
    '```sh',
    ...spec.examples.flatMap(([what, line]) => [...(what === '' ? [] : [`# ${what}`]), line]),
    '```',
  ];
}

function optionTable(options: readonly OptionSpec[]): string[] {
  return [
    '| option | meaning | default |',
    '| --- | --- | --- |',
    ...options.map(
      (option) =>
        `| \`${option.flags}\` | ${meaning(option)} | ${option.default === undefined ? '' : `\`${option.default}\``} |`,
    ),
  ];
}

function meaning(option: OptionSpec): string {
  const notes = [
    option.choices === undefined ? '' : `one of ${option.choices.map((choice) => `\`${choice}\``).join(', ')}`,
    option.required === true ? 'required' : '',
    option.repeat === true ? 'can be repeated' : '',
  ].filter((note) => note !== '');
  return `${option.description}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`.replaceAll('|', '\\|');
}

function dataplaneTable(): string[] {
  return [
    '| option | environment | meaning | default |',
    '| --- | --- | --- | --- |',
    ...DATAPLANE_FLAGS.map((flag) => {
      const names = `${flag.short === undefined ? '' : `-${flag.short}, `}--${flag.name}${flag.value === undefined ? '' : ` <${flag.value}>`}`;
      const env = flag.env === undefined ? '' : `\`${flag.env}\``;
      return `| \`${names}\` | ${env} | ${flag.description} | ${flag.default === undefined ? '' : `\`${flag.default}\``} |`;
    }),
  ];
}
