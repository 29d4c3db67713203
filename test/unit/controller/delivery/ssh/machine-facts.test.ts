import t from 'tap'
import {
  judgePlatform,
  judgeRoom,
  readInstallation,
  readSaid,
} from '../../../../../controller/delivery/ssh/machine-facts.ts'

const good = [
  ...['system Linux', 'machine x86_64', 'uid 1000', 'systemd yes', 'sudo free'],
  ...['sudo', 'iptables', 'sha256sum', 'flock', 'tac', 'systemctl'].map((name) => `program ${name}`),
]
const said = (lines: readonly string[]) =>
  readSaid(`Welcome!\n${lines.map((line) => `\nmooring: ${line}\n`).join('')}mooring:no\n`)
const without = (...words: readonly string[]) => good.filter((line) => !words.includes(line))

t.test('a machine that can carry the agent', async (t) => {
  t.same(judgePlatform(said(good), false), { arch: 'amd64', root: 'sudo' })
  t.same(judgePlatform(said([...without('machine x86_64'), 'machine aarch64']), false).arch, 'arm64')
  t.same(judgePlatform(said([...without('uid 1000', 'program sudo'), 'uid 0']), false).root, 'is-root')
  t.same(judgePlatform(said(without('sudo free')), true).root, 'sudo-with-password')
})

t.test('one that cannot is told why', async (t) => {
  const cases: readonly [string, readonly string[]][] = [
    ['PLATFORM_UNSUPPORTED', []],
    ['PLATFORM_UNSUPPORTED', [...without('system Linux'), 'system FreeBSD']],
    ['PLATFORM_UNSUPPORTED', [...without('machine x86_64'), 'machine riscv64']],
    ['PLATFORM_UNSUPPORTED', without('program sha256sum')],
    ['SYSTEMD_MISSING', without('systemd yes')],
    ['IPTABLES_MISSING', without('program iptables')],
    ['SUDO_REFUSED', without('program sudo')],
    ['SUDO_REFUSED', without('sudo free')],
  ]
  for (const [code, lines] of cases) t.throws(() => judgePlatform(said(lines), false), { code })
})

t.test('what a machine says of its agent is read as far as it can be', async (t) => {
  const status = JSON.stringify({
    vm: 'vm-1',
    pool: 'web',
    conditions: [
      { status: 'True', reason: 'Done', message: 'x' },
      { status: 'False', reason: 'POOL_UNKNOWN', message: 'no pool' },
    ],
  })
  const found = readInstallation(
    said(['owner injected', 'active yes', 'free 1000 2000', 'digest /usr/bin/a b c', `status ${status}`]),
  )
  t.match(found, {
    owner: 'injected',
    active: true,
    unfinished: false,
    free: [1000, 2000],
    vm: 'vm-1',
    pool: 'web',
  })
  t.equal(found.trouble, 'POOL_UNKNOWN: no pool')
  t.same([...found.digests], [['/usr/bin/a', 'b']])
  t.match(readInstallation(said(['owner who', 'status {"vm": 7}'])), { owner: 'none', free: [0, 0] })
  t.notHas(readInstallation(said(['status nonsense'])), 'vm')
})

t.test('room is needed on the way and in its place', async (t) => {
  const megabytes = (n: number) => n * 1024
  const bytes = { arriving: 100 << 20, placed: 100 << 20 }
  judgeRoom({ free: [megabytes(200), megabytes(101)] }, bytes)
  t.throws(() => judgeRoom({ free: [megabytes(110), megabytes(500)] }, bytes), {
    code: 'DISK_FULL',
    detail: /var/,
  })
  t.throws(() => judgeRoom({ free: [megabytes(500), megabytes(90)] }, bytes), {
    code: 'DISK_FULL',
    detail: /usr/,
  })
  judgeRoom({ free: [megabytes(70), megabytes(101)] }, { ...bytes, arriving: 1 })
})
