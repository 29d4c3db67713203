import fc from 'fast-check'
import t from 'tap'
import { secretHash } from '../../../../controller/auth/secret-hash.ts'
import { type AdmissionQuestion, decideAdmission } from '../../../../controller/join/admission.ts'
import { tokenName } from '../../../../controller/join/token.ts'
import type { PoolRecord, TokenRecord, VmRecord } from '../../../../controller/store/records.ts'
import type { Stored } from '../../../../controller/store/resource-store.ts'
import { type Phase, phases } from '../../../../shared/lifecycle.ts'

const now = 1_800_000_000_000
const hour = 3_600_000
const hash = secretHash('mrj_good')
const key = 'ab'.repeat(32)
const vm = 'vm-abababababababababab'

const pool = (over: Partial<PoolRecord['spec']> = {}): PoolRecord => ({
  spec: {
    namespace: 'default',
    serviceAccount: 'web',
    join: { methods: ['token', 'renew'], cidrs: ['10.0.0.0/8'] },
    ...over,
  },
  createdAt: 0,
  updatedAt: 0,
})

const token = (over: Partial<TokenRecord> = {}): Stored<'token'> => ({
  kind: 'token',
  name: tokenName(hash),
  version: '7',
  value: {
    pool: 'web',
    hash,
    uses: 1,
    usedBy: [],
    createdAt: 0,
    expiresAt: now + hour,
    createdBy: 'operator:ada',
    ...over,
  },
})

const record = (over: Partial<VmRecord> = {}): VmRecord => ({
  pool: 'web',
  method: 'token',
  keyThumbprint: key,
  address: '10.0.0.5',
  hostname: 'old',
  arch: 'amd64',
  nics: [],
  bootId: 'boot-1',
  admittedAt: now - hour,
  createdAt: now - 2 * hour,
  phase: 'ready',
  phaseSince: now - hour,
  health: 'healthy',
  conditions: [],
  lastSeenAt: now - hour,
  certificateExpiresAt: now + hour,
  workloadCertificateUntil: now + hour,
  agentVersion: '0.1.0',
  sidecarRestarts: 3,
  bundleRevision: 'r',
  facts: {},
  ...over,
})

const stored = (name: string, over: Partial<VmRecord> = {}): Stored<'vm'> => ({
  kind: 'vm',
  name,
  version: '5',
  value: record(over),
})

const byToken = { method: 'token', stored: token(), hash } as const
const byKey = { method: 'renew', claimed: vm } as const
const other = { keyThumbprint: 'cd'.repeat(32) }

const base: AdmissionQuestion = {
  now,
  peer: '10.0.0.5',
  pool: 'web',
  facts: { hostname: 'new', arch: 'arm64', bootId: 'boot-1', agentVersion: '0.2.0', nics: [] },
  evidence: byToken,
  key,
  vm,
  pools: new Map([
    ['web', pool()],
    ['db', pool()],
  ]),
  network: '',
  own: undefined,
  stream: { connected: false, lastHeard: 0, listenedMs: now, isOwn: false },
  suspectedSince: undefined,
  others: [],
  isLive: () => false,
  certificateIssuer: 'pin-1',
  certificateMs: 24 * hour,
  dualStack: false,
  workloadMs: 2 * hour,
}

type Over = Partial<AdmissionQuestion>
const decide = (over: Over = {}) => decideAdmission({ ...base, ...over })
const web = (over: Partial<PoolRecord['spec']>) => new Map([['web', pool(over)]])
const live = { connected: true, lastHeard: now - 100, listenedMs: 100, isOwn: false }
const elsewhere = { ...base.facts, bootId: 'boot-2' }

/** Sentence, what differs from a good join, and what comes of it: `admitted` or the code of the refusal. */
const table: readonly (readonly [string, Over, string])[] = [
  ['a good token', {}, 'admitted'],
  ['a token that is not ours', { evidence: { ...byToken, stored: undefined } }, 'TOKEN_INVALID'],
  [
    'a token that has ended',
    { evidence: { ...byToken, stored: token({ expiresAt: now }) } },
    'TOKEN_EXPIRED',
  ],
  [
    'a token used up by others',
    { evidence: { ...byToken, stored: token({ usedBy: ['x'] }) } },
    'TOKEN_USED_UP',
  ],
  ['a token used up by this key', { evidence: { ...byToken, stored: token({ usedBy: [key] }) } }, 'admitted'],
  [
    'a token of another pool',
    { evidence: { ...byToken, stored: token({ pool: 'db' }) } },
    'TOKEN_FOR_OTHER_POOL',
  ],
  ['a good token for a pool that is gone', { pools: new Map() }, 'POOL_UNKNOWN'],
  [
    'an unknown pool with a token that is not ours, as any other pool',
    { pool: 'nowhere', evidence: { ...byToken, stored: undefined } },
    'TOKEN_INVALID',
  ],
  [
    'an unknown pool with a real token, as any other foreign pool',
    { pool: 'nowhere' },
    'TOKEN_FOR_OTHER_POOL',
  ],
  ['an unknown pool with an unknown key', { pool: 'nowhere', evidence: byKey }, 'KEY_UNKNOWN'],
  [
    'a method that the pool does not list',
    { pools: web({ join: { methods: ['renew'], cidrs: ['10.0.0.0/8'] } }) },
    'METHOD_NOT_ALLOWED_BY_POOL',
  ],
  ['an address outside the CIDRs', { peer: '11.0.0.5' }, 'ADDRESS_NOT_ALLOWED'],
  [
    'a pool without CIDRs lets nobody in',
    { pools: web({ join: { methods: ['token'], cidrs: [] } }) },
    'ADDRESS_NOT_ALLOWED',
  ],
  [
    'loopback is no address of a workload, even where it may join',
    { peer: '127.0.0.1', pools: web({ join: { methods: ['token'], cidrs: ['127.0.0.0/8'] } }) },
    'ADDRESS_NOT_ALLOWED',
  ],
  [
    'a rule that no network card fits',
    { pools: web({ address: { interface: 'eth9' } }) },
    'ADDRESS_NOT_CHOSEN',
  ],
  ['an address of a live VM', { others: [stored('vm-x', other)], isLive: () => true }, 'ADDRESS_TAKEN'],
  [
    'an address of a VM that was admitted a moment ago and has no stream yet',
    { others: [stored('vm-x', { ...other, phase: 'joining', admittedAt: now - 1000 })] },
    'ADDRESS_TAKEN',
  ],
  [
    'an address of a VM that was admitted long ago and never came',
    { others: [stored('vm-x', { ...other, phase: 'joining', admittedAt: now - hour })] },
    'admitted',
  ],
  ['an address of a lost VM', { others: [stored('vm-x', { ...other, phase: 'lost' })] }, 'admitted'],
  [
    'an address of a lost VM that is thought to be live by its heartbeats',
    { others: [stored('vm-x', { ...other, phase: 'lost' })], isLive: () => true },
    'admitted',
  ],
  [
    'an address of a VM that left',
    { others: [stored('vm-x', { ...other, phase: 'left' })], isLive: () => true },
    'admitted',
  ],
  [
    'an address of a live VM in another network',
    {
      others: [stored('vm-x', { ...other, pool: 'db' })],
      isLive: () => true,
      pools: new Map([
        ['web', pool()],
        ['db', pool({ address: { network: 'far' } })],
      ]),
    },
    'admitted',
  ],
  ['a key that the controller knows', { evidence: byKey, own: stored(vm) }, 'admitted'],
  ['a key that the controller does not know', { evidence: byKey }, 'KEY_UNKNOWN'],
  [
    'a key that claims another id',
    { evidence: { ...byKey, claimed: 'vm-x' }, own: stored(vm) },
    'KEY_UNKNOWN',
  ],
  ['a key of another pool', { evidence: byKey, own: stored(vm, { pool: 'db' }) }, 'KEY_UNKNOWN'],
  [
    'a key that was away for too long',
    {
      evidence: byKey,
      own: stored(vm, { lastSeenAt: 0, admittedAt: 0 }),
    },
    'RENEW_TOO_LATE',
  ],
  [
    'a removed VM by its key',
    { evidence: byKey, own: stored(vm, { revoked: { at: 0, by: 'x', evictUntil: 0, now: false } }) },
    'KEY_REVOKED',
  ],
  [
    'a removed VM with a fresh token',
    { own: stored(vm, { revoked: { at: 0, by: 'x', evictUntil: 0, now: false } }) },
    'KEY_REVOKED',
  ],
  [
    'a removed VM with a token that is not ours learns nothing',
    {
      evidence: { ...byToken, stored: undefined },
      own: stored(vm, { revoked: { at: 0, by: 'x', evictUntil: 0, now: false } }),
    },
    'TOKEN_INVALID',
  ],
  ['a running VM renews', { evidence: byKey, own: stored(vm), stream: live }, 'admitted'],
  [
    'a machine that rebooted while its old stream still looks open waits',
    { evidence: byKey, own: stored(vm), stream: live, facts: elsewhere },
    'UNAVAILABLE',
  ],
  [
    'a machine that rebooted and whose old stream was closed',
    { evidence: byKey, own: stored(vm), facts: elsewhere },
    'admitted',
  ],
  [
    'a machine that rebooted and whose old stream fell silent',
    {
      evidence: byKey,
      own: stored(vm),
      stream: { connected: true, lastHeard: now - 4_001, listenedMs: 4_001, isOwn: false },
      facts: elsewhere,
    },
    'admitted',
  ],
  [
    'a second machine with the key of one that goes on speaking',
    { evidence: byKey, own: stored(vm), stream: live, facts: elsewhere, suspectedSince: now - 10_000 },
    'CLONE_DETECTED',
  ],
  [
    'a second machine with the key, by token, from a copied memory',
    { own: stored(vm), stream: live, peer: '10.0.0.9', suspectedSince: now - 10_000 },
    'CLONE_DETECTED',
  ],
  [
    'a machine with two addresses that renews from the other one, as the other end of its stream',
    { evidence: byKey, own: stored(vm), stream: { ...live, isOwn: true }, peer: '10.0.0.9' },
    'admitted',
  ],
  [
    'the same without a word of that stream: it may be a copy',
    { evidence: byKey, own: stored(vm), stream: live, peer: '10.0.0.9', suspectedSince: now - 10_000 },
    'CLONE_DETECTED',
  ],
  [
    'a copy that knows even the stream, on another boot',
    {
      evidence: byKey,
      own: stored(vm),
      stream: { ...live, isOwn: true },
      facts: elsewhere,
      suspectedSince: now - 10_000,
    },
    'CLONE_DETECTED',
  ],
  [
    'an IPv6 address in a mesh of IPv4 alone',
    { peer: 'fd77::5', pools: web({ join: { methods: ['token'], cidrs: ['fd77::/64'] } }) },
    'ADDRESS_NOT_ALLOWED',
  ],
  [
    'an IPv6 address in a mesh of both families',
    { peer: 'fd77::5', dualStack: true, pools: web({ join: { methods: ['token'], cidrs: ['fd77::/64'] } }) },
    'admitted',
  ],
  ['an id that another key has', { own: stored(vm, other) }, 'CLONE_DETECTED'],
]

for (const [name, over, result] of table) {
  t.test(`${name}: ${result}`, async (t) => {
    const admission = decide(over)
    t.equal('refused' in admission ? admission.refused.code : 'admitted', result)
  })
}

t.test('a first admission writes the use of the token before the VM', async (t) => {
  const admission = decide()
  if ('refused' in admission) return t.fail('admitted')
  const [first, second, ...more] = admission.admitted.writes
  t.match(first, { put: 'token', version: '7', value: { usedBy: [key] } })
  t.match(second, { put: 'vm', name: vm })
  t.notOk(second && 'version' in second, 'it must not exist yet')
  t.same(more, [])
  t.match(admission.admitted.record, {
    pool: 'web',
    phase: 'joining',
    phaseSince: now,
    health: 'unknown',
    address: '10.0.0.5',
    keyThumbprint: key,
    createdAt: now,
    certificateExpiresAt: now + 24 * hour,
    workloadCertificateUntil: now + 2 * hour,
  })
})

t.test('a repeated join writes the VM alone, and keeps it as it is', async (t) => {
  const own = stored(vm, { drain: { reason: 'operator', after: 'hold', requestedAt: 1, by: 'operator:ada' } })
  const admission = decide({ evidence: byKey, own, stream: live })
  if ('refused' in admission) return t.fail('admitted')
  t.equal(admission.admitted.writes.length, 1)
  t.match(admission.admitted.writes[0], { put: 'vm', version: '5' })
  const { phase, phaseSince, health, createdAt, drain, sidecarRestarts, hostname } = admission.admitted.record
  t.same(
    { phase, phaseSince, health, createdAt, sidecarRestarts, hostname },
    {
      phase: 'ready',
      phaseSince: now - hour,
      health: 'healthy',
      createdAt: now - 2 * hour,
      sidecarRestarts: 3,
      hostname: 'new',
    },
  )
  t.equal(drain?.by, 'operator:ada')
})

t.test('a new boot of a serving VM closes its endpoint first', async (t) => {
  const admission = decide({ evidence: byKey, own: stored(vm), facts: elsewhere })
  if ('refused' in admission) return t.fail('admitted')
  t.match(admission.admitted.record, {
    phase: 'unhealthy',
    health: 'unknown',
    phaseSince: now,
    bootId: 'boot-2',
  })
})

t.test('a VM that left comes back as a new life, without its old drain', async (t) => {
  const drain = { reason: 'shutdown', after: 'leave', requestedAt: 1, by: 'vm' } as const
  const admission = decide({ evidence: byKey, own: stored(vm, { phase: 'left', drain }) })
  if ('refused' in admission) return t.fail('admitted')
  t.equal(admission.admitted.record.phase, 'joining')
  t.equal(admission.admitted.record.drain, undefined)
  t.same(
    admission.admitted.record.conditions.map((c) => [c.type, c.status]),
    [['Admitted', 'True']],
  )
})

t.test('a longer promise of an earlier token is kept', async (t) => {
  const admission = decide({ own: stored(vm, { workloadCertificateUntil: now + 99 * hour }) })
  if ('refused' in admission) return t.fail('admitted')
  t.equal(admission.admitted.record.workloadCertificateUntil, now + 99 * hour)
})

t.test('who loses the address is written as left, before the newcomer', async (t) => {
  const admission = decide({
    others: [stored('vm-x', { ...other, phase: 'lost' }), stored('vm-y', { ...other, address: '10.0.0.6' })],
  })
  if ('refused' in admission) return t.fail('admitted')
  t.same(admission.admitted.evicted, ['vm-x'])
  t.same(
    admission.admitted.writes.map((write) => [
      write.name,
      'value' in write && 'phase' in write.value ? write.value.phase : '',
    ]),
    [
      [tokenName(hash), ''],
      ['vm-x', 'left'],
      [vm, 'joining'],
    ],
  )
})

t.test('what a joiner says of its network cards is kept without what it adds', async (t) => {
  const nic = { interface: 'eth0', address: '10.0.0.5', prefix: 24, more: 'x'.repeat(1000) }
  const admission = decide({ facts: { ...base.facts, nics: [nic] } })
  if ('refused' in admission) return t.fail('admitted')
  t.same(admission.admitted.record.nics, [{ interface: 'eth0', address: '10.0.0.5', prefix: 24 }])
})

t.test('without real evidence nobody learns which pools there are', async (t) => {
  const anyPool = fc.constantFrom('web', 'db', 'closed', 'nowhere')
  const pools = new Map([...base.pools, ['closed', pool({ join: { methods: ['token'], cidrs: [] } })]])
  fc.assert(
    fc.property(anyPool, anyPool, fc.ipV4(), fc.boolean(), (a, b, peer, renew) => {
      const evidence = renew ? byKey : { ...byToken, stored: undefined }
      const [one, two] = [a, b].map((name) => decide({ pool: name, pools, peer, evidence }))
      return JSON.stringify(one) === JSON.stringify(two)
    }),
  )
  t.pass('every pool answers alike')
})

t.test(
  'whatever its phase was, an admitted VM has no more than one open endpoint, and an entry',
  async (t) => {
    fc.assert(
      fc.property(fc.constantFrom<Phase>(...phases), fc.boolean(), fc.boolean(), (phase, sameBoot, renew) => {
        const facts = sameBoot ? base.facts : elsewhere
        const admission = decide({ own: stored(vm, { phase }), facts, evidence: renew ? byKey : byToken })
        if ('refused' in admission) return true
        const { record: after } = admission.admitted
        return after.phase !== 'left' && after.phase !== 'announced' && (after.phase !== 'ready' || sameBoot)
      }),
    )
    t.pass('held')
  },
)

t.test('who renews from another of its addresses stays where it is, and serves on', async (t) => {
  const own = stored(vm)
  const stream = { ...live, isOwn: true }
  const admission = decide({ evidence: byKey, own, stream, peer: '10.0.0.9' })
  if ('refused' in admission) return t.fail('admitted')
  t.match(admission.admitted.record, { address: '10.0.0.5', phase: 'ready', health: 'healthy' })
  const ruled = pool({ address: { interface: 'eth1' } })
  const nics = [{ interface: 'eth1', address: '10.0.0.7', prefix: 24 }]
  const moved = decide({
    evidence: byKey,
    own,
    stream,
    pools: new Map([['web', ruled]]),
    facts: { ...base.facts, nics },
  })
  if ('refused' in moved) return t.fail('admitted')
  t.match(moved.admitted.record, { address: '10.0.0.7', phase: 'unhealthy' }, 'but for what the pool says')
})
