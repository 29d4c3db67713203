import { type ProgramCommand, type ProgramOption, placesOf, valuedFlags } from './program.ts'

/** Completion for zsh, to lie in its `fpath` as `_NAME`. */
export function zshCompletion(program: ProgramCommand): string {
  const places = placesOf(program)
  const known = places.map(({ at }) => at).filter((at) => at !== '')
  const cases = places.map(({ at, commands, options }) => {
    const described = commands.map(({ name, text }) => item(name, text))
    const flags = options.flatMap((one) => one.flags.map((flag) => item(flag, oneLine(one))))
    return `  ${quoted(at)}) subcommands=(${described.join(' ')}) flags=(${[...new Set(flags)].join(' ')}) ;;`
  })
  return `#compdef ${program.name}
local at='' word
local -a subcommands flags
for word in \${words[2,CURRENT-1]}; do
  case "$at $word" in
    ${known.map((at) => `(${quoted(at)})`.slice(1, -1)).join(' | ')}) at="$at $word" ;;
  esac
done
case \${words[CURRENT-1]} in
${choices(valuedFlags(places, true), '_files')}${choices(valuedFlags(places, false), '_message value')}esac
case $at in
${cases.join('\n')}
esac
_describe -t commands command subcommands
_describe -o -t options option flags
`
}

function choices(flags: readonly string[], then: string): string {
  return flags.length === 0 ? '' : `  ${flags.join(' | ')}) ${then}; return ;;\n`
}

/** A colon parts the word from its text. */
function item(word: string, text: string): string {
  return quoted(text === '' ? word : `${word}:${text.replaceAll(':', '\\:')}`)
}

function oneLine({ text }: ProgramOption): string {
  return text.replace(/\s+/g, ' ')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
