/** An option of a program, as its own definition says. */
export interface ProgramOption {
  /** With dashes: `--config`, `-c`. */
  readonly flags: readonly string[]
  /** Name of its value; absent for a switch. */
  readonly value?: string
  readonly text: string
}

/** A command, with what can be said after it. */
export interface ProgramCommand {
  readonly name: string
  readonly text: string
  /** Its arguments, as the synopsis shows them: `<id>`, `[file]`. */
  readonly args: readonly string[]
  readonly options: readonly ProgramOption[]
  readonly commands: readonly ProgramCommand[]
}

/** A place on a command line: the words that led there, and what may follow. */
export interface Place {
  /** Each word with a blank before it: `` at the start, ` vm list` in the middle. */
  readonly at: string
  readonly commands: readonly ProgramCommand[]
  /** Its own, and those of every command above it. */
  readonly options: readonly ProgramOption[]
}

/** Every place of a program, the start first. */
export function placesOf(program: ProgramCommand): readonly Place[] {
  const walk = (command: ProgramCommand, at: string, above: readonly ProgramOption[]): readonly Place[] => {
    const options = [...command.options, ...above]
    const inner = command.commands.flatMap((one) => walk(one, `${at} ${one.name}`, options))
    return [{ at, commands: command.commands, options }, ...inner]
  }
  return walk(program, '', [])
}

/** Whether the value of an option names a file or a folder. */
export function takesFile({ value }: ProgramOption): boolean {
  return value !== undefined && /file|dir|folder|path/i.test(value)
}

/** Every option with a value, once for each of its flags. */
export function valuedFlags(places: readonly Place[], ofFile: boolean): readonly string[] {
  const options = places.flatMap((place) => place.options)
  const wanted = options.filter((one) => one.value !== undefined && takesFile(one) === ofFile)
  return [...new Set(wanted.flatMap((one) => one.flags))].toSorted()
}
