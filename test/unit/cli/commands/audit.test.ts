import t from 'tap'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createCommandLine, environmentOf } from '../command-line.ts'
import { now } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

const record = (seq: number, over: object = {}) => ({
  seq,
  time: now + seq * 1000,
  actor: 'operator:ada',
  action: 'vm.drain',
  target: 'vm/vm-1',
  outcome: 'done',
  ...over,
})

t.test('who did what, and what was refused and why', async (t) => {
  const standIn = await createStandIn(t)
  const denied = record(2, {
    actor: 'anonymous',
    action: 'join',
    target: 'pool/web',
    outcome: 'denied',
    code: 'TOKEN_EXPIRED',
    address: '10.0.0.9',
  })
  standIn.on('GET /v1/audit', () => [record(1), denied])
  const line = createCommandLine(t, { env: await environmentOf(t, standIn) })
  const { out } = await line.run('audit', '--target', 'pool/web', '--limit', '5')
  t.match(out, /\n2027-01-15T08:00:01Z +operator:ada +vm\.drain +vm\/vm-1 +done\n/)
  t.match(out, /anonymous +join +pool\/web +denied +TOKEN_EXPIRED from 10\.0\.0\.9\n/)
  t.same(standIn.seen[0]?.query, { target: 'pool/web', limit: '5' })
  t.equal(JSON.parse((await line.run('audit', '--json')).out).length, 2)
  t.equal((await line.run('audit', '--limit', '0')).code, 2)
})

t.test('followed, each record comes once, also over a pause of the controller', async (t) => {
  const standIn = await createStandIn(t)
  const clock = createFakeClock(now)
  const all = [record(1)]
  let broken = false
  standIn.on('GET /v1/audit', ({ query }) =>
    broken ? refuse('INTERNAL') : all.filter((r) => r.seq > Number(query.after ?? 0)),
  )
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock })
  const following = line.run('audit', '--follow', '--json')
  const step = async () => {
    await clock.untilSleeping()
    await clock.advance(30_000)
  }
  await step()
  all.push(record(2))
  await step()
  broken = true
  await step()
  broken = false
  all.push(record(3), record(4))
  await step()
  await clock.untilSleeping()
  line.interrupt()
  const { code, out, err } = await following
  t.equal(code, 130)
  t.same(
    out
      .trimEnd()
      .split('\n')
      .map((text) => (JSON.parse(text) as { seq: number }).seq),
    [1, 2, 3, 4],
  )
  t.match(err, /trying again/)
})
