import t from 'tap'
import { leaveOnce } from '../../../../agent/commands/leave.ts'
import type { State } from '../../../../agent/state.ts'
import type { ErrorCode } from '../../../../shared/error-catalogue.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const identity = {
  ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '' },
  ...{ certificateFrom: 0, certificateUntil: 1, joinedAt: 0 },
}
const joined: State = { version: 1, privateKey: 'k', identity }

/** What a caller meets, one after the other; the last of each stays. */
function scene(facts: { ask: (ErrorCode | 'ok')[]; alone?: (ErrorCode | 'ok')[]; state?: State }) {
  const done: string[] = []
  const clock = createFakeClock()
  const meet = (name: string, ends: (ErrorCode | 'ok')[]) => async () => {
    const end = ends.length > 1 ? ends.shift() : ends[0]
    done.push(name)
    if (end !== undefined && end !== 'ok') throw new MooringError(end)
    return name
  }
  const result = leaveOnce({
    ask: meet('ask', facts.ask),
    alone: meet('alone', facts.alone ?? ['ok']),
    state: async () => facts.state,
    clock,
  })
  result.catch(() => {})
  return { result, done, clock }
}

t.test('the running agent does it, and its refusal is the answer', async (t) => {
  t.equal(await scene({ ask: ['ok'], state: joined }).result, 'ask')
  await t.rejects(scene({ ask: ['INTERNAL'], state: joined }).result, { code: 'INTERNAL' })
})

t.test('where none runs, the command does it', async (t) => {
  t.equal(await scene({ ask: ['NOT_RUNNING'], state: joined }).result, 'alone')
  const untold: State = { ...joined, left: { at: 1, reason: 'shutdown', untold: true } }
  t.equal(await scene({ ask: ['NOT_RUNNING'], state: untold }).result, 'alone', 'it was not told yet')
  await t.rejects(scene({ ask: ['NOT_RUNNING'], alone: ['DISK_FULL'], state: joined }).result, {
    code: 'DISK_FULL',
  })
})

t.test('a VM that is not in the mesh has nothing to leave', async (t) => {
  for (const state of [
    undefined,
    { ...joined, identity: undefined },
    { ...joined, left: { at: 1, reason: 'x' } },
  ]) {
    const { result, done } = scene({ ask: ['NOT_RUNNING'], ...(state && { state: state as State }) })
    await t.rejects(result, { code: 'NOT_RUNNING' })
    t.same(done, ['ask'])
  }
})

t.test('an agent that does not listen yet is asked again, for a while', async (t) => {
  const soon = scene({ ask: ['NOT_RUNNING', 'ok'], alone: ['ALREADY_RUNNING'], state: joined })
  await soon.clock.untilSleeping()
  await soon.clock.advance(200)
  t.equal(await soon.result, 'ask')
  t.same(soon.done, ['ask', 'alone', 'ask'])

  const never = scene({ ask: ['NOT_RUNNING'], alone: ['ALREADY_RUNNING'], state: joined })
  for (let n = 0; n < 50; n += 1) {
    await never.clock.untilSleeping()
    await never.clock.advance(200)
  }
  await t.rejects(never.result, { code: 'ALREADY_RUNNING' })
})
