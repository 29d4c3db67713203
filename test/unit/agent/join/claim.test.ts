import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import { claimState } from '../../../../agent/join/claim.ts'
import { makeKey } from '../../../../agent/join/key.ts'
import type { State } from '../../../../agent/state.ts'
import { createLog } from '../../../../shared/log.ts'

const identity = {
  vm: 'vm-1',
  pool: 'web',
  certificate: 'C',
  certificateFrom: 1,
  certificateUntil: 2,
  controllerCa: 'CA',
  joinedAt: 1,
}
const old: State = {
  version: 1,
  privateKey: makeKey(),
  identity,
  machine: { machineId: 'm', instanceId: 'i-1' },
}

async function claimed(start: State | undefined, mark: { machineId?: string; instanceId?: string }) {
  let state = start
  let writes = 0
  const lines: string[] = []
  await claimState({
    store: {
      current: () => state,
      async write(next) {
        writes += 1
        state = next
      },
    },
    mark,
    clock: { now: () => 7 },
    effects: createEffects({ after: () => {} }),
    log: createLog({ level: 'info', write: (line) => lines.push(line) }),
  })
  return { state, writes, said: lines.join('\n') }
}

t.test('on the machine that it was made on, a state stays as it is', async (t) => {
  t.same(await claimed(old, { machineId: 'm', instanceId: 'i-1' }), { state: old, writes: 0, said: '' })
  t.same(await claimed(undefined, { machineId: 'm' }), { state: undefined, writes: 0, said: '' })
})

t.test('a state of a former version becomes this machine’s', async (t) => {
  const { machine, ...former } = old
  const { state, said } = await claimed(former, { machineId: 'm' })
  t.same(state, { ...former, machine: { machineId: 'm' } })
  t.equal(said, '')
})

t.test('on another machine the identity goes, with its key, and it is said', async (t) => {
  const { state, said } = await claimed({ ...old, revoked: { at: 1 } }, { machineId: 'm', instanceId: 'i-2' })
  t.same(
    { ...state, privateKey: '' },
    {
      version: 1,
      privateKey: '',
      machine: { machineId: 'm', instanceId: 'i-2' },
      dropped: { at: 7, why: 'its instance-id is i-2, and was i-1', vm: 'vm-1' },
    },
  )
  t.not(state?.privateKey, old.privateKey)
  t.match(said, 'vm-1')
  t.notMatch(said, 'PRIVATE KEY')

  const again = await claimed(state, { machineId: 'm', instanceId: 'i-3' })
  t.match(again.state?.dropped, { vm: 'vm-1' }, 'a clone of a clone that never joined knows whose it was')
})
