import t from 'tap'
import { createRenewMethod } from '../../../../agent/join/renew.ts'

const { signal } = new AbortController()

t.test('the evidence names the VM; without one there is none', async (t) => {
  const identity = {
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '' },
    ...{ certificateFrom: 0, certificateUntil: 0, joinedAt: 0 },
  }
  let session: string | undefined
  const renew = createRenewMethod({ identity: () => identity, session: () => session })
  t.same(await renew.evidence(signal), { method: 'renew', vm: 'vm-1' })
  session = 's'.repeat(32)
  t.same(await renew.evidence(signal), { method: 'renew', vm: 'vm-1', session }, 'and the stream it holds')
  const nobody = createRenewMethod({ identity: () => undefined, session: () => undefined })
  await t.rejects(nobody.evidence(signal), { code: 'KEY_UNKNOWN' })
})
