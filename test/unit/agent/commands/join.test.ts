import t from 'tap'
import { joinOnly } from '../../../../agent/commands/join.ts'
import type { State } from '../../../../agent/state.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const identity = {
  ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '', joinedAt: 0 },
  ...{ certificateFrom: 0, certificateUntil: Number.MAX_SAFE_INTEGER },
}
const joined = { version: 1, privateKey: 'k', identity } as const

function scene(state: State | undefined, faults: MooringError[] = []) {
  const clock = createFakeClock()
  let joins = 0
  const result = joinOnly({
    joiner: {
      async join() {
        joins += 1
        const fault = faults.shift()
        if (fault !== undefined) throw fault
        return joined
      },
    },
    store: { current: () => state, write: async () => {} },
    clock,
    signal: new AbortController().signal,
  })
  return { result, clock, joins: () => joins }
}

t.test('a VM that has joined is not joined again; one that left is', async (t) => {
  const there = scene(joined)
  t.equal(await there.result, 'vm-1')
  t.equal(there.joins(), 0)
  const left = scene({ ...joined, left: { at: 1, reason: 'operator' } })
  t.equal(await left.result, 'vm-1')
  t.equal(left.joins(), 1)
})

t.test('what passes by itself is tried again, what does not ends it', async (t) => {
  const away = scene(undefined, [new MooringError('CONTROLLER_UNREACHABLE')])
  await away.clock.untilSleeping()
  await away.clock.advance(5_000)
  t.equal(await away.result, 'vm-1')
  await t.rejects(scene(undefined, [new MooringError('TOKEN_EXPIRED')]).result, { code: 'TOKEN_EXPIRED' })
})

t.test('after a minute it gives up, with the last reason', async (t) => {
  const faults = Array.from({ length: 10_000 }, () => new MooringError('CONTROLLER_UNREACHABLE'))
  const { result, clock } = scene(undefined, faults)
  const outcome = result.catch((error) => error)
  await clock.untilSleeping()
  await clock.advance(70_000)
  t.match(await outcome, { code: 'CONTROLLER_UNREACHABLE' })
})
