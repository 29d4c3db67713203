import t from 'tap'
import {
  commandNames,
  describeError,
  exitCodeOf,
  exitCodes,
  helpText,
  parseCommandLine,
} from '../../../agent/cli.ts'
import { MooringError } from '../../../shared/errors.ts'

t.test('commands and options are understood', async (t) => {
  t.same(parseCommandLine(['run', '--root', '/vm', '--config', 'a.yaml', '--log-level', 'debug']), {
    command: 'run',
    config: 'a.yaml',
    root: '/vm',
    logLevel: 'debug',
    json: false,
    reason: 'operator',
    bundle: undefined,
  })
  t.match(parseCommandLine(['status', '--json']), { command: 'status', json: true, root: '/' })
  t.match(parseCommandLine(['render', '--bundle', 'b.json']), { command: 'render', bundle: 'b.json' })
  t.match(parseCommandLine([]), { command: 'help' })
  t.match(parseCommandLine(['run', '--help']), { command: 'help' })
  t.match(parseCommandLine(['--version']), { command: 'version' })
})

t.test('what is not understood is named', async (t) => {
  for (const args of [
    ['fly'],
    ['run', 'fast'],
    ['run', '--speed', '1'],
    ['run', '--log-level', 'loud'],
    ['--root'],
  ]) {
    t.throws(() => parseCommandLine(args), { code: 'CONFIG_INVALID' }, args.join(' '))
  }
})

t.test('help lists every command that is for people, and every exit code', async (t) => {
  for (const name of commandNames.filter((name) => name !== 'facts' && name !== 'help')) {
    t.match(helpText, new RegExp(`^  ${name} `, 'm'))
  }
  for (const code of Object.values(exitCodes)) t.match(helpText, new RegExp(`\\b${code} `))
})

t.test('errors have a code for programs and words for people', async (t) => {
  t.equal(exitCodeOf(new MooringError('CONFIG_INVALID')), exitCodes.usage)
  t.equal(exitCodeOf(new MooringError('NOT_RUNNING')), exitCodes.notRunning)
  t.equal(exitCodeOf(new MooringError('ALREADY_RUNNING')), exitCodes.alreadyRunning)
  t.equal(exitCodeOf(new MooringError('DISK_FULL')), exitCodes.failed)
  t.equal(exitCodeOf(new TypeError('x')), exitCodes.failed)
  const words = describeError(new MooringError('DISK_FULL', { detail: '/var' }))
  t.match(words, /no room to write \(DISK_FULL\)\n {2}cause: \/var\n {2}fix: {3}Free space/)
  t.equal(describeError(new TypeError('x')), 'mooring-agent: x\n')
})
