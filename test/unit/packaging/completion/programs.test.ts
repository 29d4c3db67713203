import t from 'tap'
import { commandNames } from '../../../../agent/cli.ts'
import { type ProgramCommand, placesOf, takesFile } from '../../../../packaging/completion/program.ts'
import { describePrograms } from '../../../../packaging/completion/programs.ts'

const programs = describePrograms()
const names = (command: ProgramCommand) => command.commands.map((one) => one.name)
const flags = (command: ProgramCommand) => command.options.flatMap((one) => one.flags)

t.test("the agent's commands and options are those of its help", async (t) => {
  const { program, after } = programs['mooring-agent']
  // `facts` is for the agent itself, `help` is what was read.
  t.same(
    names(program),
    commandNames.filter((name) => name !== 'facts' && name !== 'help'),
  )
  t.ok(program.commands.every((one) => one.text.length > 3))
  t.match(flags(program), ['--config', '--root', '--log-level'])
  t.equal(program.options.find((one) => one.flags.includes('--config'))?.value, 'FILE')
  t.match(after, /Exit codes: 0 done/)
})

t.test("the controller's commands have the options that its help shows", async (t) => {
  const { program } = programs['mooring-controller']
  for (const name of ['run', 'enrol', 'pin', 'openapi', 'version']) t.ok(names(program).includes(name), name)
  const run = program.commands.find((one) => one.name === 'run')
  t.same(
    run?.options.map((one) => [one.flags, one.value]),
    [
      [['--config'], 'FILE'],
      [['--json'], undefined],
    ],
  )
  t.match(run?.text, /serve; prints url, pin and, at the first start, the one-time enrolment code/)
})

t.test("the operators' program is a tree", async (t) => {
  const { program } = programs.mooring
  for (const name of ['login', 'vm', 'pool', 'token', 'version']) t.ok(names(program).includes(name), name)
  const places = placesOf(program)
  const list = places.find((place) => place.at === ' token create')
  const known = list?.options.flatMap((one) => one.flags) ?? []
  for (const flag of ['--pool', '--uses', '--out', '--json', '--context']) t.ok(known.includes(flag), flag)
  t.ok(list?.options.some((one) => one.flags.includes('--out') && takesFile(one)))
})
