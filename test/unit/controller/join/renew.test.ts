import t from 'tap'
import { judgeRenew } from '../../../../controller/join/renew.ts'
import type { VmRecord } from '../../../../controller/store/records.ts'

const day = 86_400_000
const now = 100 * day
const own = (over: Partial<VmRecord> = {}) => ({
  kind: 'vm' as const,
  name: 'vm-1',
  version: '1',
  value: { pool: 'web', lastSeenAt: now - 2 * day, admittedAt: now - 50 * day, ...over } as VmRecord,
})
const ask = (over: Partial<Parameters<typeof judgeRenew>[0]> = {}) =>
  judgeRenew({
    own: own(),
    claimed: 'vm-1',
    pool: 'web',
    lastHeard: 0,
    renewWithinSeconds: (3 * day) / 1000,
    now,
    ...over,
  })?.code

t.test('why a key alone brings a VM back or not', async (t) => {
  t.equal(ask(), undefined)
  t.equal(ask({ own: undefined }), 'KEY_UNKNOWN')
  t.equal(ask({ claimed: 'vm-2' }), 'KEY_UNKNOWN', 'another id than its own claimed')
  t.equal(ask({ pool: 'db' }), 'KEY_UNKNOWN', 'another pool than its own claimed')
  t.equal(ask({ renewWithinSeconds: day / 1000 }), 'RENEW_TOO_LATE')
  t.equal(ask({ renewWithinSeconds: day / 1000, lastHeard: now - 1 }), undefined, 'heard, but not written')
  t.equal(ask({ own: own({ lastSeenAt: 0, admittedAt: now }), renewWithinSeconds: 60 }), undefined)
})
