import { type Place, type ProgramCommand, type ProgramOption, placesOf, takesFile } from './program.ts'

/** Completion for fish. */
export function fishCompletion(program: ProgramCommand): string {
  const places = placesOf(program)
  const at = `__${program.name.replaceAll('-', '_')}_at`
  const known = places.map((place) => place.at).filter((one) => one !== '')
  const lines = places.flatMap((place) =>
    linesOf(place, `complete -c ${program.name} -n ${quoted(`${at} ${quoted(place.at)}`)}`),
  )
  return `# fish completion of ${program.name}
function ${at}
    set -l at ''
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case ${known.map(quoted).join(' ')}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c ${program.name} -f
${lines.join('\n')}
`
}

function linesOf({ commands, options }: Place, start: string): readonly string[] {
  const words = commands.map(({ name, text }) => `${start} -a ${name}${about(text)}`)
  const seen = new Set<string>()
  const flags = options.flatMap((option) => {
    const key = option.flags.join()
    if (seen.has(key)) return []
    seen.add(key)
    return `${start} ${option.flags.map(flag).join(' ')}${value(option)}${about(option.text)}`
  })
  return [...words, ...flags]
}

function flag(text: string): string {
  return text.startsWith('--') ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`
}

function value(option: ProgramOption): string {
  if (option.value === undefined) return ''
  return takesFile(option) ? ' -r -F' : ' -x'
}

function about(text: string): string {
  return text === '' ? '' : ` -d ${quoted(text.replace(/\s+/g, ' '))}`
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
