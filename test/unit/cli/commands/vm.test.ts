import t from 'tap'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createCommandLine, environmentOf } from '../command-line.ts'
import { now, vmSample } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

const broken = vmSample({
  id: 'vm-0a9999',
  phase: 'unhealthy',
  phaseSince: now - 200_000,
  hostname: 'web-2',
  conditions: [
    { type: 'Admitted', status: 'True', reason: 'Joined', message: '', since: now },
    {
      type: 'SidecarReady',
      status: 'False',
      reason: 'SIDECAR_NOT_READY',
      message: 'istiod does not answer',
      since: now,
    },
    { type: 'ApplicationHealthy', status: 'Unknown', reason: 'NotTried', message: '', since: now },
  ],
})

t.test('the list says for each VM that does not serve why', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/vms', () => [broken, vmSample()])
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock: createFakeClock(now) })
  const { out } = await line.run('vm', 'list', '--pool', 'web')
  t.match(out, /vm-0a1b2c +web +ready +60s +10\.0\.0\.7 +web-1\n/)
  t.match(out, /vm-0a9999 +web +unhealthy +3m20s +10\.0\.0\.7 +web-2 +SidecarReady: istiod does not answer\n/)
  t.same(standIn.seen[0]?.query, { pool: 'web' })
  t.match(JSON.parse((await line.run('vm', 'list', '--json')).out), [
    { id: 'vm-0a9999' },
    { id: 'vm-0a1b2c' },
  ])
})

t.test('a VM in full, by the beginning of its id', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/vms', () => [broken, vmSample()])
  standIn.on('GET /v1/vms/vm-0a9999', () => broken)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock: createFakeClock(now) })
  for (const id of ['vm-0a9', 'vm-0a9999']) {
    const { code, out } = await line.run('vm', 'show', id)
    t.equal(code, 0)
    t.match(out, /identity +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web\n/)
    t.match(out, /SidecarReady +False +0s +SIDECAR_NOT_READY +istiod does not answer\n/)
    t.match(out, /os +Debian 12\n/)
  }
  t.match(await line.run('vm', 'show', 'vm-0a'), { code: 1, err: /vm-0a9999, vm-0a1b2c; write more/ })
  t.match(await line.run('vm', 'show', 'vm-'), { code: 1, err: /NOT_FOUND/ })
  t.match(await line.run('vm', 'show', 'other'), { code: 1, err: /no VM's id begins with "other"/ })
})

t.test('explain names the failing step, the cause and the fix', async (t) => {
  const standIn = await createStandIn(t)
  const explanation = {
    id: 'vm-0a9999',
    ready: false,
    summary: 'It is not ready: the sidecar does not get ready',
    step: 'SidecarReady',
    cause: 'istiod does not answer',
    fix: 'Check address and port.',
    since: now - 5000,
  }
  standIn.on('GET /v1/vms/vm-0a9999', () => broken)
  standIn.on('GET /v1/vms/vm-0a9999/explanation', () => explanation)
  standIn.on('GET /v1/vms/vm-0a1b2c', () => vmSample())
  standIn.on('GET /v1/vms/vm-0a1b2c/explanation', () => ({
    id: 'vm-0a1b2c',
    ready: true,
    summary: 'It serves.',
  }))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock: createFakeClock(now) })
  t.equal(
    (await line.run('vm', 'explain', 'vm-0a9999')).out,
    [
      'vm-0a9999: It is not ready: the sidecar does not get ready',
      '  step   SidecarReady (Envoy has its configuration and serves)',
      '  cause  istiod does not answer',
      '  fix    Check address and port.',
      '  for    5s',
      '',
    ].join('\n'),
  )
  t.equal((await line.run('vm', 'explain', 'vm-0a1b2c')).out, 'vm-0a1b2c: It serves.\n')
  t.same(JSON.parse((await line.run('vm', 'explain', 'vm-0a9999', '--json')).out), explanation)
})

t.test('drain asks, and with --wait sees it through', async (t) => {
  const standIn = await createStandIn(t)
  const clock = createFakeClock(now)
  const phases = ['ready', 'draining', 'draining', 'left'] as const
  let asked = 0
  standIn.on('GET /v1/vms/vm-0a1b2c', () => vmSample({ phase: phases[Math.min(asked++, 3)] ?? 'left' }))
  standIn.on('POST /v1/vms/vm-0a1b2c/drain', () => vmSample({ phase: 'draining' }))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const plain = await line.run('vm', 'drain', 'vm-0a1b2c', '--deadline', '30s')
  t.same(plain, { code: 0, out: 'vm-0a1b2c is asked to leave\n', err: '' })
  t.same(standIn.seen.at(-1)?.body, { after: 'leave', deadlineSeconds: 30 })
  asked = 0
  const waiting = line.run('vm', 'drain', 'vm-0a1b2c', '--wait')
  for (let poll = 0; poll < 3; poll += 1) {
    await clock.untilSleeping()
    await clock.advance(2000)
  }
  t.match(await waiting, { code: 0, out: /^vm-0a1b2c left after \d+s\n$/ })
})

t.test('held VMs are done when they are drained; one that is gone has left', async (t) => {
  const standIn = await createStandIn(t)
  const clock = createFakeClock(now)
  const drained = vmSample({
    phase: 'draining',
    conditions: [{ type: 'Drained', status: 'True', reason: 'Quiet', message: '', since: now }],
  })
  standIn.on('GET /v1/vms/vm-0a1b2c', () => vmSample())
  standIn.on('POST /v1/vms/vm-0a1b2c/drain', () => drained)
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock, answer: true })
  const held = await line.run('vm', 'drain', 'vm-0a1b2c', '--hold', '--wait')
  t.match(held, { code: 0, out: /drained after 0s/ })
  t.same(standIn.seen.at(-1)?.body, { after: 'hold' })
  let there = true
  standIn.on('GET /v1/vms/vm-0a1b2c', () => (there ? vmSample() : refuse('NOT_FOUND')))
  standIn.on('DELETE /v1/vms/vm-0a1b2c', () => {
    there = false
    return vmSample({ phase: 'draining' })
  })
  const removing = line.run('vm', 'remove', 'vm-0a1b2c', '--wait', '--json')
  await clock.untilSleeping()
  await clock.advance(2000)
  t.match(JSON.parse((await removing).out), { id: 'vm-0a1b2c', phase: 'left' })
})

t.test('waiting has an end, and Ctrl-C is one', async (t) => {
  const standIn = await createStandIn(t)
  const clock = createFakeClock(now)
  standIn.on('GET /v1/vms/vm-0a1b2c', () => vmSample({ phase: 'draining' }))
  standIn.on('POST /v1/vms/vm-0a1b2c/drain', () => vmSample({ phase: 'draining' }))
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const waiting = line.run('vm', 'drain', 'vm-0a1b2c', '--wait', '--timeout', '3s')
  await clock.untilSleeping()
  await clock.advance(3000)
  t.match(await waiting, { code: 1, err: /error DRAIN_DEADLINE.*\n.*still draining after 3s/ })
  const interrupted = line.run('vm', 'drain', 'vm-0a1b2c', '--wait')
  await clock.untilSleeping()
  line.interrupt()
  t.match(await interrupted, { code: 130, err: '' })
})

t.test('remove asks first; nobody to ask means no', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/vms/vm-0a1b2c', () => vmSample())
  standIn.on('DELETE /v1/vms/vm-0a1b2c', () => vmSample({ phase: 'draining', revoked: true }))
  const env = await environmentOf(t, standIn)
  const deleted = () => standIn.seen.filter((seen) => seen.method === 'DELETE').map((seen) => seen.query)
  const no = await createCommandLine(t, { env, answer: false }).run('vm', 'remove', 'vm-0a1b2c')
  t.match(no, { code: 2, err: /Remove vm-0a1b2c \(web-1, ready\)\?/ })
  t.match(await createCommandLine(t, { env }).run('vm', 'remove', 'vm-0a1b2c'), { code: 2, err: /say --yes/ })
  t.same(deleted(), [])
  const yes = await createCommandLine(t, { env }).run('vm', 'remove', 'vm-0a1b2c', '--yes', '--now')
  t.same([yes.code, yes.out], [0, 'vm-0a1b2c is asked to leave\n'])
  t.equal((await createCommandLine(t, { env, answer: true }).run('vm', 'remove', 'vm-0a1b2c')).code, 0)
  t.same(deleted(), [{ now: 'true' }, {}])
})
