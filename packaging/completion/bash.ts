import { type ProgramCommand, placesOf, valuedFlags } from './program.ts'

/** Completion for bash; it needs nothing of the package bash-completion but the folder. */
export function bashCompletion(program: ProgramCommand): string {
  const places = placesOf(program)
  const name = `_${program.name.replaceAll('-', '_')}`
  const known = places.map(({ at }) => at).filter((at) => at !== '')
  const words = places.map(({ at, commands, options }) => {
    const all = [...commands.map((one) => one.name), ...options.flatMap((one) => one.flags)]
    return `    ${quoted(at)}) words=${quoted([...new Set(all)].join(' '))} ;;`
  })
  return `# bash completion of ${program.name}
${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${known.map(quoted).join(' | ')}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case $prev in
${choices(valuedFlags(places, true), 'mapfile -t COMPREPLY < <(compgen -f -- "$cur")')}${choices(valuedFlags(places, false), 'COMPREPLY=()')}  esac
  case $at in
${words.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o filenames -F ${name} ${program.name}
`
}

function choices(flags: readonly string[], then: string): string {
  return flags.length === 0 ? '' : `    ${flags.join(' | ')}) ${then}; return ;;\n`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
