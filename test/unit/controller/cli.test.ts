import t from 'tap'
import { exitCodeOf, exitCodes, parseCommand, usage } from '../../../controller/cli.ts'
import { MooringError } from '../../../shared/errors.ts'

t.test('commands and their options', async (t) => {
  t.same(parseCommand(['run']), { name: 'run', config: undefined, json: false })
  t.same(parseCommand(['run', '--config', 'f', '--json']), { name: 'run', config: 'f', json: true })
  t.same(parseCommand(['enrol', '-c', 'f']), { name: 'enrol', config: 'f', json: false })
  t.same(parseCommand(['pin']), { name: 'pin', config: undefined, json: false })
  const rotate = { name: 'rotate-ca', config: 'f', json: false }
  t.same(parseCommand(['rotate-ca', '-c', 'f']), { ...rotate, finish: false })
  t.same(parseCommand(['rotate-ca', '-c', 'f', '--finish']), { ...rotate, finish: true })
  t.same(parseCommand(['openapi']), { name: 'openapi' })
  t.same(parseCommand(['version']), { name: 'version' })
  t.same(parseCommand(['--help']), { name: 'help' })
  t.same(parseCommand(['run', '-h']), { name: 'help' })
})

t.test('what is no command is refused', async (t) => {
  for (const argv of [[], ['rum'], ['run', 'now'], ['run', '--cofnig', 'x'], ['run', '--config']]) {
    t.throws(() => parseCommand(argv), { code: 'CONFIG_INVALID' }, argv.join(' '))
  }
})

t.test('the usage names every command', async (t) => {
  for (const name of ['run', 'enrol', 'pin', 'rotate-ca', 'openapi', 'version']) {
    t.match(usage, `mooring-controller ${name}`)
  }
})

t.test('exit codes tell whose turn it is', async (t) => {
  t.equal(exitCodeOf(new MooringError('CONFIG_INVALID')), exitCodes.usage)
  t.equal(exitCodeOf(new MooringError('ISTIOD_MISSING')), exitCodes.usage)
  t.equal(exitCodeOf(new MooringError('STORE_UNREADABLE')), exitCodes.data)
  t.equal(exitCodeOf(new MooringError('MESH_UNAVAILABLE')), exitCodes.failed)
  t.equal(exitCodeOf(new Error('x')), exitCodes.failed)
})
