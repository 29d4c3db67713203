import { spawnSync } from 'node:child_process'
import path from 'node:path'
import t from 'tap'
import { createCommandLine, environmentOf } from './command-line.ts'
import { createStandIn, refuse } from './stand-in.ts'

t.test('help is on standard output and no failure', async (t) => {
  const line = createCommandLine(t)
  for (const argv of [
    ['--help'],
    ['help'],
    ['vm', '--help'],
    ['vm', 'drain', '--help'],
    ['pool', 'apply', '-h'],
  ]) {
    const { code, out, err } = await line.run(...argv)
    t.same([code, err], [0, ''], argv.join(' '))
    t.match(out, /^Usage: mooring/)
  }
})

t.test('wrong usage ends with 2 and says what is wrong', async (t) => {
  const line = createCommandLine(t)
  for (const argv of [
    ['vms'],
    ['vm', 'drain'],
    ['vm', 'list', '--fast'],
    ['token', 'create'],
    ['vm'],
    ['vm', 'show', 'a', 'b'],
  ]) {
    const { code, out, err } = await line.run(...argv)
    t.equal(code, 2, argv.join(' '))
    t.equal(out, '')
    t.ok(err.length > 0)
  }
})

t.test('failures are for people, or with --json for programs', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/pools', () => refuse('FORBIDDEN', 'viewer of any pool'))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  t.match(await line.run('pool', 'list'), {
    code: 3,
    out: '',
    err: /^error FORBIDDEN: .*\n {2}cause {2}viewer of any pool\n {2}fix/,
  })
  const { code, err } = await line.run('pool', 'list', '--json')
  t.equal(code, 3)
  t.match(JSON.parse(err), { code: 'FORBIDDEN', detail: 'viewer of any pool', retryable: false })
})

t.test('without a login it says so', async (t) => {
  t.match(await createCommandLine(t).run('vm', 'list'), { code: 3, err: /nobody has logged in here/ })
})

t.test('the program itself starts, and tells its version', async (t) => {
  const main = path.resolve(import.meta.dirname, '../../../cli/main.ts')
  const run = (...argv: string[]) =>
    spawnSync(process.execPath, [main, ...argv], { encoding: 'utf8', timeout: 60_000 })
  const version = run('version', '--json')
  t.match(JSON.parse(version.stdout), { version: /^\d+\.\d+\.\d+/, wire: 1 })
  t.equal(version.status, 0)
  t.equal(run('nonsense').status, 2)
})
