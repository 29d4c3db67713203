import t from 'tap'
import { Value } from 'typebox/value'
import { vmView } from '../../../../controller/fleet/views.ts'
import { VmView } from '../../../../shared/api/operator.ts'
import { now, record, session, webPool } from './situations.ts'

const trustDomain = 'cluster.local'
const alive = { state: 'alive', lastHeard: now } as const

t.test('a view fits its schema, with and without everything optional', async (t) => {
  const plain = vmView({
    vm: 'vm-1',
    record: record(),
    pool: undefined,
    session: undefined,
    hearing: { state: 'waiting', lastHeard: 0 },
    trustDomain,
  })
  t.ok(Value.Check(VmView, plain))
  t.match(plain, { connected: false, lastHeard: 0, revoked: false, identity: '' })
  const full = vmView({
    vm: 'vm-1',
    record: record({
      phase: 'draining',
      sidecarVersion: '1.29.1',
      drain: { reason: 'scale-in', after: 'hold', requestedAt: now, by: 'operator:ann', deadlineSeconds: 3 },
      revoked: { at: now, by: 'operator:ann', evictUntil: now, now: false },
      conditions: [{ type: 'Ready', status: 'False', reason: 'Draining', message: '', since: now }],
      nics: [{ interface: 'eth0', address: '10.0.0.1', prefix: 24 }],
      facts: { os: 'Debian' },
    }),
    pool: webPool,
    session: session(),
    hearing: alive,
    trustDomain,
  })
  t.ok(Value.Check(VmView, full))
  t.match(full, {
    identity: 'spiffe://cluster.local/ns/shop/sa/web',
    connected: true,
    lastHeard: now,
    revoked: true,
    draining: { reason: 'scale-in', after: 'hold', requestedAt: now, by: 'operator:ann' },
  })
  t.notOk('keyThumbprint' in full)
})

t.test('connected is a stream that is open and speaks', async (t) => {
  const input = { vm: 'vm-1', record: record(), pool: webPool, trustDomain }
  const connected = (state: 'greeting' | 'open' | 'closed', hearing: 'alive' | 'vanished') =>
    vmView({ ...input, session: session({ state }), hearing: { state: hearing, lastHeard: now } }).connected
  t.equal(connected('open', 'alive'), true)
  t.equal(connected('greeting', 'alive'), true)
  t.equal(connected('closed', 'alive'), false)
  t.equal(connected('open', 'vanished'), false)
})
