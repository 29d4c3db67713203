import type { ProgramCommand, ProgramOption } from '../completion/program.ts'
import type { Described } from '../completion/programs.ts'

export interface PageOptions {
  /** 1 for people's commands, 8 for those of the system. */
  readonly section: 1 | 8
  readonly version: string
  /** Seconds since 1970: the date in the foot. */
  readonly epoch: number
  readonly description: string
  readonly files: readonly { readonly path: string; readonly text: string }[]
  /** Other pages, as `mooring-agent(8)`. */
  readonly seeAlso: readonly string[]
}

/** The page of a program in the language of man(7). */
export function manPage({ program, after }: Described, options: PageOptions): string {
  const { section, version, epoch, description, files, seeAlso } = options
  const date = new Date(epoch * 1000).toISOString().slice(0, 10)
  const commands = program.commands.flatMap((command) => commandLines(command, ''))
  return [
    `.TH ${program.name.toUpperCase()} ${section} ${date} "Mooring ${version}"`,
    '.SH NAME',
    `${escaped(program.name)} \\- ${escaped(lowerFirst(program.text))}`,
    '.SH SYNOPSIS',
    `.B ${escaped(program.name)}`,
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    ...paragraphs(description),
    '.SH COMMANDS',
    ...commands,
    ...(program.options.length === 0 ? [] : ['.SH OPTIONS', ...program.options.flatMap(optionLines)]),
    ...(after.trim() === '' ? [] : ['.SH NOTES', ...paragraphs(after)]),
    '.SH FILES',
    ...files.flatMap(({ path, text }) => ['.TP', `.I ${escaped(path)}`, escaped(text)]),
    '.SH SEE ALSO',
    seeAlso
      .map((one) =>
        one.replace(/^([\w-]+)(\(\d\))$/, (_, name, number) => `\\fB${escaped(name)}\\fR${number}`),
      )
      .join(', '),
    '',
  ].join('\n')
}

function commandLines(command: ProgramCommand, before: string): readonly string[] {
  const name = `${before}${command.name}`
  if (command.commands.length > 0) return command.commands.flatMap((one) => commandLines(one, `${name} `))
  const args = command.args.map((arg) => ` \\fI${escaped(arg)}\\fR`).join('')
  const options = command.options.filter((option) => !option.flags.includes('--help'))
  const inner = options.length === 0 ? [] : ['.RS', ...options.flatMap(optionLines), '.RE']
  return ['.TP', `\\fB${escaped(name)}\\fR${args}`, text(command.text), ...inner]
}

function optionLines({ flags, value, text: about }: ProgramOption): readonly string[] {
  const names = flags.map((flag) => `\\fB${escaped(flag)}\\fR`).join(', ')
  return ['.TP', `${names}${value === undefined ? '' : ` \\fI${escaped(value)}\\fR`}`, text(about)]
}

/** A line must not be empty in man(7). */
function text(about: string): string {
  return about === '' ? '\\&' : escaped(about)
}

function paragraphs(of: string): readonly string[] {
  return of
    .trim()
    .split(/\n{2,}/)
    .flatMap((paragraph, index) => [
      ...(index === 0 ? [] : ['.PP']),
      ...paragraph.split('\n').map((line) => escaped(line.trim())),
    ])
}

/** Backslashes, dashes that must stay dashes, and the first character of a line. */
function escaped(of: string): string {
  return of
    .replace(/\s+/g, ' ')
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&')
}

function lowerFirst(of: string): string {
  return of.replace(/\.$/, '').replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase())
}
