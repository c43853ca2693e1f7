import type { Invocation } from '../command.ts';
import { printText } from '../output/print.ts';

/** Each script asks `weft __complete WORDS...` for the candidates of the last word, so that names are live and the script never grows old. */
const SCRIPTS = {
  bash: `_weft() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(weft __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _weft weft
`,
  zsh: `#compdef weft
_weft() {
  local -a found
  found=("\${(@f)$(weft __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found
}
compdef _weft weft
`,
  fish: `complete -c weft -f -a '(weft __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
} as const;

/** `weft completion bash|zsh|fish`. */
export async function printScript(shell: keyof typeof SCRIPTS, invocation: Invocation): Promise<void> {
  await printText(invocation, SCRIPTS[shell], { shell, script: SCRIPTS[shell] });
}
