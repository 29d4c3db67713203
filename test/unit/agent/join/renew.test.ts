import t from 'tap'
import { createRenewMethod } from '../../../../agent/join/renew.ts'

const { signal } = new AbortController()

t.test('the evidence names the VM; without one there is none', async (t) => {
  const identity = {
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '' },
    ...{ certificateFrom: 0, certificateUntil: 0, joinedAt: 0 },
  }
  t.same(await createRenewMethod(() => identity).evidence(signal), { method: 'renew', vm: 'vm-1' })
  await t.rejects(createRenewMethod(() => undefined).evidence(signal), { code: 'KEY_UNKNOWN' })
})
