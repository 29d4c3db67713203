import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { AuditRecord, VmView } from '../../../shared/api/operator.ts'
import { loopbackPool, startController } from '../../fakes/controller.ts'
import { createCommandLine } from '../../unit/cli/command-line.ts'

/** A controller on which nobody has enrolled yet, and a command line. */
async function start(t: Test, input?: string) {
  t.testdir()
  const house = await startController({ admin: 'nobody yet' })
  t.teardown(() => house.close())
  const line = createCommandLine(t, { ...(input === undefined ? {} : { input }) })
  const ok = async (...argv: string[]) => {
    const { code, out, err } = await line.run(...argv)
    t.equal(code, 0, `mooring ${argv.join(' ')}\n${err}`)
    return out
  }
  const enrol = () => {
    const { url, announcement } = house
    const code = announcement.enrolment ?? ''
    return ok('login', '--server', url, '--pin', announcement.pin, '--enrol', code, '--name', 'ada')
  }
  const until = async (id: string, phase: string) => {
    for (;;) {
      const vm = JSON.parse(await ok('vm', 'show', id, '--json')) as VmView
      if (vm.phase === phase) return vm
    }
  }
  return { house, line, ok, enrol, until }
}

const pool = JSON.stringify({
  name: 'web',
  spec: { ...loopbackPool, drain: { deadlineSeconds: 1, quietSeconds: 0.1 } },
})

t.test('from the first login to a VM that joined, drained and left', async (t) => {
  const { house, line, ok, enrol, until } = await start(t, pool)
  t.match(await enrol(), /as ada \(admin of all pools\)/)
  t.equal(await ok('pool', 'apply', '-f', '-'), 'pool web created\n')
  t.match(await ok('pool', 'list'), /\nweb +default +web +- +token, renew +0 +0\n/)
  const file = path.join(t.testdirName, 'join-token')
  await ok('token', 'create', '--pool', 'web', '--ttl', '10m', '--out', file)
  const token = (await readFile(file, 'utf8')).trim()
  t.match(await ok('token', 'list'), /web +valid +0 of 1 +in (10m|9m\d+s) +operator:ada/)

  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  t.match(
    await ok('vm', 'explain', agent.vm),
    new RegExp(`^${agent.vm}: .+\n {2}step `),
    'it says what is missing',
  )
  await agent.open({ health: 'healthy' })
  await until(agent.vm, 'ready')
  t.match(await ok('vm', 'list'), new RegExp(`${agent.vm} +web +ready`))
  t.match(await ok('vm', 'explain', agent.vm.slice(0, 8)), new RegExp(`^${agent.vm}: `))

  const draining = line.run('vm', 'drain', agent.vm.slice(0, 8), '--wait')
  await agent.next('drain')
  agent.send({ kind: 'drained', result: 'quiet', openRequests: 0, openConnections: 0 })
  agent.send({ kind: 'left' })
  t.match(await draining, { code: 0, out: new RegExp(`^${agent.vm} left after`) })
  const records = JSON.parse(await ok('audit', '--target', `vm/${agent.vm}`, '--json')) as AuditRecord[]
  t.ok(records.some((record) => record.action === 'vm.drain' && record.actor === 'operator:ada'))
})

t.test('a watcher hears of a VM from its join to its end, over a restart of the connection', async (t) => {
  const { house, line, ok, enrol, until } = await start(t, pool)
  await enrol()
  await ok('pool', 'apply', '-f', '-')
  const token = (await ok('token', 'create', '--pool', 'web')).trim()
  const other = createCommandLine(t)
  const watching = other.run('vm', 'watch')
  const heard = async (text: RegExp) => {
    while (!text.test(other.written())) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  await heard(/ joining /)
  await agent.open({ health: 'healthy' })
  await until(agent.vm, 'ready')
  await heard(/ ready /)
  t.match(await line.run('vm', 'remove', agent.vm, '--now', '--yes'), { code: 0 })
  await heard(/ left /)
  other.interrupt()
  t.match(await watching, { code: 130 })
})

t.test('what an operator may not do is refused in words, and is on record', async (t) => {
  const { house, ok, enrol } = await start(t, pool)
  await enrol()
  await ok('pool', 'apply', '-f', '-')
  const file = path.join(t.testdirName, 'viewer')
  await ok('operator', 'create', 'eve', '--role', 'viewer', '--pools', 'web', '--ttl', '1h', '--out', file)
  const eve = createCommandLine(t, {
    env: { MOORING_URL: house.url, MOORING_CA_FILE: house.announcement.caFile, MOORING_TOKEN_FILE: file },
  })
  t.match(await eve.run('whoami'), { code: 0, out: /^eve \(viewer of pools web\), expires in (60|5\d)m/ })
  t.match(await eve.run('pool', 'list'), { code: 0 })
  for (const argv of [
    ['token', 'create', '--pool', 'web'],
    ['pool', 'delete', 'web'],
    ['operator', 'list'],
    ['audit'],
  ]) {
    t.match(await eve.run(...argv), { code: 3, err: /^error FORBIDDEN: / }, argv.join(' '))
  }
  t.match(await ok('operator', 'list'), /ada .*\n(.*\n)*eve |eve .*\n(.*\n)*ada /)
  await ok('operator', 'delete', 'eve')
  t.match(await eve.run('whoami'), { code: 3, err: /^error UNAUTHENTICATED: / })
})

t.test('mistakes in a pool are named by the side that finds them', async (t) => {
  const { line, enrol } = await start(t)
  await enrol()
  const apply = async (over: object) => {
    const file = path.join(t.testdirName, 'pool.json')
    await writeFile(file, JSON.stringify({ name: 'web', spec: { ...loopbackPool, ...over } }))
    return await line.run('pool', 'apply', '-f', file)
  }
  t.match(await apply({ labls: {} }), { code: 2, err: /spec\.labls: there is no such field/ })
  t.match(await apply({ join: { methods: ['token'], cidrs: ['10.0.0.0/99'] } }), {
    code: 2,
    err: /error REQUEST_INVALID.*\n.*join\/cidrs/,
  })
  t.match(await line.run('pool', 'show', 'web'), { code: 1, err: /error NOT_FOUND/ })
  t.match(await line.run('token', 'create', '--pool', 'web'), { code: 1, err: /error NOT_FOUND/ })
})

t.test('a code works once, and a wrong one not at all', async (t) => {
  const { house, line, enrol } = await start(t)
  const again = [
    'login',
    '--server',
    house.url,
    '--ca',
    house.announcement.caFile,
    '--name',
    'mal',
    '--enrol',
  ]
  t.match(await line.run(...again, 'wrong-code-0123456789'), { code: 3, err: /error ENROLMENT_INVALID/ })
  await enrol()
  t.match(await line.run(...again, house.announcement.enrolment ?? ''), {
    code: 3,
    err: /error ENROLMENT_INVALID/,
  })
})
