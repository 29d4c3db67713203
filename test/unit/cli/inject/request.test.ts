import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readPlace, readRequest } from '../../../../cli/inject/request.ts'

const options = { pool: 'web', credential: 'cloud' }

t.test('machines by name, address and port', async (t) => {
  t.same(readPlace('vm-1.example.org'), { host: 'vm-1.example.org' })
  t.same(readPlace('10.0.0.7:2222'), { host: '10.0.0.7', port: 2222 })
  t.same(readPlace('fd00::7'), { host: 'fd00::7' })
  t.same(readPlace('[fd00::7]:2222'), { host: 'fd00::7', port: 2222 })
  t.throws(() => readPlace('root@10.0.0.7:x'), { code: 'CONFIG_INVALID' })
  t.throws(() => readPlace(''), { code: 'CONFIG_INVALID' })
})

t.test('options become a request that fits its schema', async (t) => {
  const dir = t.testdir()
  const [hosts, log] = [join(dir, 'known_hosts'), join(dir, 'console')]
  await writeFile(hosts, '10.0.0.7 ssh-ed25519 AAAA\n')
  await writeFile(log, `keys${' '.repeat(100_000)}`)
  const request = await readRequest(['10.0.0.7'], {
    ...options,
    ...{ knownHosts: hosts, consoleLog: log, jump: 'gate:2222', jumpCredential: 'gate', parallel: '3' },
  })
  t.match(request, {
    pool: 'web',
    credential: 'cloud',
    action: 'inject',
    targets: [{ host: '10.0.0.7', consoleLog: /^keys/ }],
    jump: { host: 'gate', port: 2222, credential: 'gate' },
    knownHosts: '10.0.0.7 ssh-ed25519 AAAA\n',
    parallel: 3,
  })
  t.equal((await readRequest(['a', 'b'], { ...options, remove: true })).action, 'remove')
})

t.test('what does not fit is told by its name', async (t) => {
  const refused = (hosts: readonly string[], more: object, detail: RegExp) =>
    t.rejects(readRequest(hosts, { ...options, ...more }), { code: 'CONFIG_INVALID', detail })
  await refused(['a', 'b'], { consoleLog: '/nowhere' }, /--console-log is of one machine/)
  await refused(['a'], { knownHosts: '/nowhere' }, /--known-hosts/)
  await refused(['a'], { parallel: 'many' }, /parallel/)
  await refused(['a;reboot'], {}, /targets/)
  await refused(['a'], { pool: 'No Pool' }, /pool/)
  await refused(
    Array.from({ length: 101 }, (_, n) => `vm-${n}`),
    {},
    /targets/,
  )
})
