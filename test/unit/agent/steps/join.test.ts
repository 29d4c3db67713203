import t from 'tap'
import type { State } from '../../../../agent/state.ts'
import { createJoinTask } from '../../../../agent/steps/join.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const now = 1_000_000
const joined: State & { identity: NonNullable<State['identity']> } = {
  version: 1,
  privateKey: 'k',
  identity: {
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '', joinedAt: 0 },
    ...{ certificateFrom: 0, certificateUntil: now + 60_000 },
  },
  bundle: someBundle(),
}

function scene(state: State | undefined) {
  let joins = 0
  let told = 0
  const task = createJoinTask({
    joiner: {
      async join() {
        joins += 1
        return joined
      },
    },
    state: () => state,
    pool: 'web',
    time: { now: () => now },
    joined: () => {
      told += 1
    },
  })
  return { task, joins: () => joins, told: () => told }
}

t.test('a VM with a valid identity has joined', async (t) => {
  const { task, joins, told } = scene(joined)
  t.equal(await task.check(signal), true)
  t.equal(told(), 1)
  t.equal(joins(), 0)
})

t.test('every other one has to join', async (t) => {
  const { bundle: _, ...withoutBundle } = joined
  const others: Record<string, State | undefined> = {
    'no state': undefined,
    'a key alone': { version: 1, privateKey: 'k' },
    'no bundle': withoutBundle,
    'it left': { ...joined, left: { at: 1, reason: 'x' } },
    'it is revoked': { ...joined, revoked: { at: 1 } },
    'its certificate has ended': { ...joined, identity: { ...joined.identity, certificateUntil: now } },
    'it is of another pool': { ...joined, identity: { ...joined.identity, pool: 'db' } },
  }
  for (const [name, state] of Object.entries(others)) {
    const { task, joins, told } = scene(state)
    t.equal(await task.check(signal), false, name)
    t.equal(told(), 0, name)
    await task.apply(signal)
    t.equal(joins(), 1)
    t.equal(told(), 1)
  }
})
