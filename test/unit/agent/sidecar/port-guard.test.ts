import { mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import type { Listener } from '../../../../agent/host/ports.ts'
import { createPortGuard, inTheWay } from '../../../../agent/sidecar/port-guard.ts'

const listener = (port: number, change: Partial<Listener> = {}): Listener => ({
  ...{ protocol: 'tcp', port, reach: 'all', uid: 0, inode: 1 },
  ...change,
})
const portsOf = (listeners: readonly Listener[], dns = true) =>
  inTheWay(listeners, { dns }).map(({ port }) => port)

t.test('who is in the way of a sidecar, and who is not', async (t) => {
  const all = [15090, 15021, 15020, 15053, 15006, 15004, 15001, 15000]
  t.same(
    portsOf(all.map((port) => listener(port))),
    all.toSorted((a, b) => a - b),
  )
  t.same(portsOf(all.map((port) => listener(port, { uid: 1337 }))), [], 'the sidecar itself')
  t.same(portsOf([22, 8080, 15002].map((port) => listener(port))), [], 'ports of others')
  t.same(portsOf([listener(15053)], false), [], 'without DNS capture nobody needs it')
  t.same(
    portsOf(all.map((port) => listener(port, { reach: 'elsewhere' }))),
    [15001, 15006, 15020, 15021, 15090],
    'three are opened on the loopback address alone',
  )
  t.same(portsOf([listener(15000, { reach: 'loopback' }), listener(15001, { reach: 'loopback' })]).length, 2)
  t.same(portsOf(all.map((port) => listener(port, { protocol: 'udp' }))), [15053], 'DNS is UDP too')
})

const line = (port: number, inode: number, uid = 0) =>
  ` 0: 00000000:${port.toString(16).toUpperCase()} 00000000:0000 0A 0:0 0:0 0 ${uid} 0 ${inode} 1`

t.test('port, program and process are named', async (t) => {
  const proc = t.testdir()
  await mkdir(path.join(proc, 'net'), { recursive: true })
  await mkdir(path.join(proc, '77/fd'), { recursive: true })
  await symlink('socket:[4711]', path.join(proc, '77/fd/3'))
  await writeFile(path.join(proc, '77/comm'), 'nginx\n')
  const guard = createPortGuard(proc)
  const capture = { enabled: true, dns: true }
  await t.resolves(guard.mustBeFree({ capture }), 'nothing can be read: nothing is in the way')
  await writeFile(
    path.join(proc, 'net/tcp'),
    ['head', line(15006, 4711), line(15001, 4712, 998), line(15090, 1, 1337)].join('\n'),
  )
  await t.rejects(guard.mustBeFree({ capture }), {
    code: 'PORT_IN_USE',
    detail: '15001 by another program of user 998, 15006 by nginx (pid 77)',
  })
})

t.test('a sidecar that is not Mooring’s is in the way, though it runs as the same user', async (t) => {
  const proc = t.testdir()
  await mkdir(path.join(proc, 'net'), { recursive: true })
  const programs = { 77: '/usr/local/bin/envoy', 78: '/state/sidecar/versions/1-a/bin/envoy (deleted)' }
  for (const [pid, program] of Object.entries(programs)) {
    await mkdir(path.join(proc, pid, 'fd'), { recursive: true })
    await symlink(`socket:[${pid}]`, path.join(proc, pid, 'fd/3'))
    await symlink(program, path.join(proc, pid, 'exe'))
    await writeFile(path.join(proc, pid, 'comm'), 'envoy')
  }
  const lines = [line(15006, 77, 1337), line(15001, 78, 1337), line(15090, 79, 1337)]
  await writeFile(path.join(proc, 'net/tcp'), ['head', ...lines].join('\n'))
  const capture = { enabled: true, dns: true }
  await t.rejects(createPortGuard(proc, '/state/sidecar/versions').mustBeFree({ capture }), {
    code: 'PORT_IN_USE',
    detail: '15006 by envoy (pid 77)',
  })
  await t.resolves(
    createPortGuard(proc).mustBeFree({ capture }),
    'who does not know where its own are asks nobody',
  )
})

t.test('DNS is needed only where it is captured', async (t) => {
  const proc = t.testdir()
  await mkdir(path.join(proc, 'net'), { recursive: true })
  await writeFile(path.join(proc, 'net/tcp'), ['head', line(15053, 1)].join('\n'))
  const guard = createPortGuard(proc)
  await t.rejects(guard.mustBeFree({ capture: { enabled: true, dns: true } }), { code: 'PORT_IN_USE' })
  await t.resolves(guard.mustBeFree({ capture: { enabled: true, dns: false } }))
  await t.resolves(guard.mustBeFree({ capture: { enabled: false, dns: true } }))
})
