import type { ProgramCommand, ProgramOption } from './program.ts'

/**
 * What a program says of itself in its help: a line `name: what it is`, lines of commands and of options, each
 * indented by two and with its text after two blanks or more; text that goes on in the next line is indented further.
 */
export function fromUsage(help: string): ProgramCommand {
  const [, name = '', text = ''] = /^([a-z-]+): (.+)$/m.exec(help) ?? []
  const entries = joined(help).flatMap((line) => {
    const [, left = '', right = ''] = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line) ?? []
    // A line that is neither: prose, which has no second column.
    if (left === '' || (right === '' && !left.startsWith(`${name} `))) return []
    return [{ left: left.replace(`${name} `, ''), right: right.replace(/\s+/g, ' ') }]
  })
  const options = entries.filter(({ left }) => left.startsWith('-')).map(asOption)
  const commands = entries.filter(({ left }) => /^[a-z]/.test(left)).map(asCommand)
  return { name, text, args: [], options, commands }
}

interface Entry {
  readonly left: string
  readonly right: string
}

/** A text that goes on in the next line, in one. */
function joined(help: string): readonly string[] {
  return help.replace(/\n {20,}(?=\S)/g, '  ').split('\n')
}

function asOption({ left, right }: Entry): ProgramOption {
  const words = left.split(/[ ,]+/)
  const value = words.find((word) => !word.startsWith('-'))
  const flags = words.filter((word) => word.startsWith('-'))
  return { flags, text: right, ...(value !== undefined && { value }) }
}

function asCommand({ left, right }: Entry): ProgramCommand {
  const [name = ''] = left.split(' ')
  const options = [...left.matchAll(/\[?(--[a-z-]+)(?: ([A-Z]+))?\]?/g)].map(
    ([, flag = '', value]): ProgramOption => ({
      flags: [flag],
      text: '',
      ...(value !== undefined && { value }),
    }),
  )
  const args = left.split(' ').filter((word) => /^[A-Z]+$/.test(word) && !left.includes(`-- ${word}`))
  const values = new Set(options.flatMap((one) => one.value ?? []))
  return { name, text: right, args: args.filter((word) => !values.has(word)), options, commands: [] }
}
