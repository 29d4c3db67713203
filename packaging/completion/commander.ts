import type { Argument, Command, Option } from 'commander'
import type { ProgramCommand, ProgramOption } from './program.ts'

/** What a program says of itself that is defined with commander. */
export function fromCommander(command: Command): ProgramCommand {
  const shown = command.createHelp()
  return {
    name: command.name(),
    text: command.description(),
    args: command.registeredArguments.map(argument),
    options: shown.visibleOptions(command).map(option),
    commands: shown.visibleCommands(command).map(fromCommander),
  }
}

function argument(one: Argument): string {
  const name = `${one.name()}${one.variadic ? '...' : ''}`
  return one.required ? `<${name}>` : `[${name}]`
}

function option(one: Option): ProgramOption {
  const flags = [one.short, one.long].filter((flag) => flag !== undefined && flag !== null)
  const [, value] = /[<[](.+?)[>\]]/.exec(one.flags) ?? []
  return { flags, text: one.description, ...(value !== undefined && { value }) }
}
