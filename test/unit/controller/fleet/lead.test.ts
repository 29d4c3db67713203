import t from 'tap'
import { createLead } from '../../../../controller/fleet/lead.ts'

t.test('what began under the lead is over before the lead is given away', async (t) => {
  let isLeader = true
  let looks = 0
  const lead = createLead({
    replicas: { several: true, leads: () => isLeader },
    changed: () => {
      looks += 1
    },
  })
  const never = new AbortController().signal
  t.equal(lead.holds, false, 'not before its time')
  await t.rejects(
    lead.doing(never, async () => {}),
    { code: 'UNAVAILABLE' },
  )
  const term = new AbortController()
  let isGivenAway = false
  const running = lead.run(term.signal).then(() => {
    isGivenAway = true
  })
  t.equal(lead.holds, true)
  const work = Promise.withResolvers<void>()
  let told: AbortSignal | undefined
  const doing = lead.doing(never, (signal) => {
    told = signal
    return work.promise
  })
  term.abort()
  t.equal(lead.holds, false)
  t.equal(told?.aborted, true, 'it is told at once')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(isGivenAway, false)
  work.resolve()
  await Promise.all([doing, running])
  t.equal(looks, 2, 'everything is looked at when it begins and when it ends')
  isLeader = false
  const next = new AbortController()
  const late = lead.run(next.signal)
  t.equal(lead.holds, false, 'a Lease that was not renewed in time counts for nothing')
  next.abort()
  await late
})

t.test('who is alone leads all the time', async (t) => {
  const lead = createLead({
    replicas: { several: false, leads: () => true },
    changed: () => t.fail('nothing changes'),
  })
  t.equal(lead.holds, true)
  const term = new AbortController()
  const running = lead.run(term.signal)
  t.equal(await lead.doing(term.signal, async () => 1), 1)
  term.abort()
  await running
  t.equal(lead.holds, true)
})
