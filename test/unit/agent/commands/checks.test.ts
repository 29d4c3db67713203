import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { type ChecksDeps, doctorChecks } from '../../../../agent/commands/checks.ts'
import { diagnose } from '../../../../agent/commands/doctor.ts'
import { MooringError } from '../../../../shared/errors.ts'

const now = 1_000_000_000

async function findings(t: Test, change: Partial<ChecksDeps> = {}, files: Record<string, string> = {}) {
  const root = await mkdtemp(path.join(tmpdir(), 'mooring-doctor-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true })
    await writeFile(path.join(root, name), text)
  }
  const checks = doctorChecks({
    uid: 0,
    platform: 'linux',
    arch: 'amd64',
    controllerUrl: new URL('https://127.0.0.1:8443'),
    controller: { challenge: async () => ({ nonce: '', expiresAt: 0, now, wire: 1 }) },
    method: { name: 'token', evidence: async () => ({ method: 'token', token: 't'.repeat(16) }) },
    stateFolder: path.join(root, 'var/lib/not/there/yet'),
    sidecarVersions: '/state/versions',
    state: async () => undefined,
    running: async () => 'runs, serving',
    exec: async () => ({ code: 0, signal: null, stdout: '', stderr: '', timedOut: false }),
    clock: { now: () => now },
    proc: path.join(root, 'proc'),
    sys: path.join(root, 'sys'),
    ...change,
  })
  const found = await diagnose(checks, new AbortController().signal)
  return Object.fromEntries(found.map(({ check, result, code, detail }) => [check, { result, code, detail }]))
}

const fail = (code: 'CONTROLLER_UNTRUSTED' | 'CONFIG_INVALID' | 'NOT_RUNNING') => () =>
  Promise.reject(new MooringError(code))
const ran =
  (code: number, stderr = '') =>
  async () => ({ code, signal: null, stdout: '', stderr, timedOut: false })
const listener = (port: number, uid: number) =>
  `head\n 0: 00000000:${port.toString(16).toUpperCase()} 00000000:0000 0A 0:0 0:0 0 ${uid} 0 4711 1`

t.test('on a machine that is fit, nothing is wrong', async (t) => {
  const found = await findings(t, {}, { 'proc/net/tcp': listener(15_001, 1337) })
  t.same(
    Object.entries(found).filter(([, { result }]) => result !== 'well'),
    [],
  )
  t.ok(Object.keys(found).length >= 12)
})

t.test('each fault is found by its own check', async (t) => {
  const cases: [string, string, Partial<ChecksDeps>, Record<string, string>?][] = [
    ['root', 'NOT_ROOT', { uid: 1000 }],
    ['platform', 'PLATFORM_UNSUPPORTED', { arch: 'riscv64' }],
    ['iptables', 'IPTABLES_MISSING', { exec: ran(127) }],
    ['iptables', 'CAPTURE_FAILED', { exec: ran(3, 'no table `nat`') }],
    ['ports', 'PORT_IN_USE', {}, { 'proc/net/tcp6': listener(15_021, 0) }],
    ['name', 'CONTROLLER_UNREACHABLE', { controllerUrl: new URL('https://no-such-name.invalid') }],
    ['controller', 'CONTROLLER_UNTRUSTED', { controller: { challenge: fail('CONTROLLER_UNTRUSTED') } }],
    ['clock', 'CLOCK_WRONG', { clock: { now: () => now + 600_000 } }],
    ['evidence', 'CONFIG_INVALID', { method: { name: 'token', evidence: fail('CONFIG_INVALID') } }],
    ['state', 'KEY_REVOKED', { state: async () => ({ version: 1, privateKey: 'k', revoked: { at: 1 } }) }],
    ['agent', 'NOT_RUNNING', { running: fail('NOT_RUNNING') }],
  ]
  for (const [check, code, change, files] of cases) {
    t.match((await findings(t, change, files))[check], { result: 'wrong', code }, `${check} ${code}`)
  }
})

t.test('SELinux in force is a hint', async (t) => {
  const found = await findings(t, {}, { 'sys/fs/selinux/enforce': '1' })
  t.match(found.security, { result: 'hint', detail: /ausearch/ })
})

t.test('a VM that has joined needs no evidence', async (t) => {
  const identity = {
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '' },
    ...{ certificateFrom: 0, certificateUntil: 0, joinedAt: 0 },
  }
  const found = await findings(t, {
    method: { name: 'token', evidence: fail('CONFIG_INVALID') },
    state: async () => ({ version: 1, privateKey: 'k', identity }),
  })
  t.match(found.evidence, { result: 'well', detail: /vm-1/ })
})

t.test('a sidecar of somebody else is not taken for its own', async (t) => {
  const proc = t.testdir({
    net: { tcp: listener(15_006, 1337) },
    77: { fd: {}, comm: 'envoy' },
  })
  await symlink('socket:[4711]', path.join(proc, '77/fd/3'))
  const seen = async (program: string) => {
    await rm(path.join(proc, '77/exe'), { force: true })
    await symlink(program, path.join(proc, '77/exe'))
    return (await findings(t, { proc })).ports
  }
  t.match(await seen('/usr/local/bin/envoy'), { code: 'PORT_IN_USE', detail: '15006 by envoy (pid 77)' })
  t.match(await seen('/state/versions/1-a/envoy'), { result: 'well' })
})
