import { CONFIG_KEYS } from './config-keys.ts';
import { formatGoDuration, type PlacedSetting, placedSettings } from './config-setting.ts';
import { keysWithoutEffect } from './config-without-effect.ts';

/** `docs/reference/control-plane-config.md`, printed from the keys themselves. */
export function configReference(): string {
  const settings = placedSettings(CONFIG_KEYS);
  const sections = new Map<string, PlacedSetting[]>();
  for (const placed of settings) {
    const section = placed.path.includes('.') ? placed.path.split('.')[0]! : 'general keys';
    sections.set(section, [...(sections.get(section) ?? []), placed]);
  }
  return [
    '# Configuration of the control plane',
    '',
    '<!-- Printed by scripts/generate-docs.ts from src/control-plane/config-keys.ts; do not edit. -->',
    '',
    ...INTRODUCTION,
    ...[...sections].flatMap(([section, placed]) => ['', `## ${section}`, '', ...settingTable(placed)]),
    '',
    '## Keys without effect',
    '',
    'Known from Kuma, accepted with a warning, not used by this version. Those marked "refused" end the start when they hold more than an empty value:',
    'going on without them would be less safe, or another deployment, than what was asked for.',
    '',
    '| key | why |',
    '| --- | --- |',
    ...idleRows(),
    '',
  ].join('\n');
}

const INTRODUCTION = [
  '`weft cp run -c FILE` reads a YAML file with these keys; an environment variable wins over the file. Keys and variables are those of',
  "Kuma's `kuma-cp` 2.11-2.14, so that its file can be used as it is. What differs: `store.type` is `sqlite` when nothing is said, and",
  '`store.sqlite` and `weft` are our own.',
  '',
  '- An unknown key, an unknown `KUMA_*` variable or a value of the wrong form ends the start, with every problem listed and the nearest known name.',
  '- An empty value counts as not given. Durations are Go durations: `500ms`, `10s`, `1h30m`. Lists are comma-separated in a variable.',
  '- `weft cp config -c FILE` checks a file and shows the complete configuration, secrets masked; the API serves the same at `/config`.',
];

function settingTable(settings: readonly PlacedSetting[]): string[] {
  return [
    '| key | environment | default | meaning |',
    '| --- | --- | --- | --- |',
    ...settings.map(
      (placed) => `| \`${placed.path}\` | ${envText(placed)} | ${defaultText(placed)} | ${meaningText(placed)} |`,
    ),
  ];
}

const envText = ({ env }: PlacedSetting) => (env === undefined ? 'file only' : `\`${env}\``);

function defaultText({ setting }: PlacedSetting): string {
  if (setting.defaultText !== undefined) return `\`${setting.defaultText}\``;
  if (setting.secret === true) return `\`${String(setting.default)}\``;
  if (setting.form === 'duration') return `\`${formatGoDuration(setting.default as number)}\``;
  if (Array.isArray(setting.default))
    return setting.default.length === 0 ? 'empty' : `\`${setting.default.join(',')}\``;
  if (setting.form === 'map') {
    const pairs = Object.entries(setting.default as Readonly<Record<string, string>>);
    return pairs.length === 0 ? 'empty' : `\`${pairs.map(([name, value]) => `${name}:${value}`).join(',')}\``;
  }
  return setting.default === '' ? 'empty' : `\`${String(setting.default)}\``;
}

function meaningText({ setting }: PlacedSetting): string {
  const choices = setting.choices?.filter((choice) => choice !== '').map((choice) => `\`${choice}\``) ?? [];
  const oneOf = choices.length > 1 ? ` One of ${choices.join(', ')}.` : '';
  return `${setting.description}${oneOf}`.replaceAll('|', '\\|');
}

/** Keys of one section and reason on one line each. */
function idleRows(): string[] {
  const groups = new Map<string, string[]>();
  for (const { path, reason, refused } of keysWithoutEffect()) {
    const at = path.lastIndexOf('.');
    const group = `${path.slice(0, at)}\n${refused ? 'refused: ' : ''}${reason}`;
    groups.set(group, [...(groups.get(group) ?? []), path.slice(at + 1)]);
  }
  return [...groups].map(([group, names]) => {
    const [section, reason] = group.split('\n');
    return `| \`${section}.\`{${names.map((name) => `\`${name}\``).join(', ')}} | ${reason} |`;
  });
}
