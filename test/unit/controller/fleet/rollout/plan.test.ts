import fc from 'fast-check'
import t from 'tap'
import {
  artifactFor,
  mostUnavailable,
  planRollout,
  type RolloutMember,
  type RolloutQuestion,
} from '../../../../../controller/fleet/rollout/plan.ts'
import { rolloutProgress } from '../../../../../controller/fleet/rollout/progress.ts'
import type { PoolRecord, VmRecord } from '../../../../../controller/store/records.ts'
import type { SidecarArtifact } from '../../../../../shared/api/bundle.ts'
import type { PoolSpec } from '../../../../../shared/api/operator.ts'
import { phases } from '../../../../../shared/lifecycle.ts'
import { now, record, webPool } from '../situations.ts'

const artifact = (version: string): SidecarArtifact => ({
  version,
  arch: 'amd64',
  sha256: version.repeat(64).slice(0, 64),
  size: 1,
})
const [first, next] = [artifact('1'), artifact('2')]

const poolWith = (rollout: PoolSpec['rollout'] = {}): PoolRecord => ({
  ...webPool,
  spec: { ...webPool.spec, rollout },
})

function member(vm: string, changes: Partial<VmRecord> = {}, restartPending = false): RolloutMember {
  const settled = record({ phase: 'ready', health: 'healthy', artifact: first, arch: 'amd64', ...changes })
  return { vm, record: settled, restartPending }
}

function steps(members: readonly RolloutMember[], more: Partial<RolloutQuestion> = {}): string[] {
  const question = { pool: poolWith(), members, artifacts: [next], certificateTtlSeconds: 3600, now, ...more }
  return planRollout(question).steps.map((step) => `${step.do} ${step.vm}`)
}

const updating = { artifact: next, update: { since: now - 1_000, before: first, served: true } }

t.test('one VM after the other, by name', async (t) => {
  t.same(steps([member('b'), member('a'), member('c')]), ['give a'])
  t.same(steps([member('b'), member('a', updating), member('c')]), [])
  t.same(steps([member('b'), member('a', { artifact: next }), member('c')]), ['give b'])
  t.same(steps([member('a', { artifact: next }), member('b', { artifact: next })]), [])
  t.same(steps([member('a')]), ['give a'], 'also when it is the only one')
})

t.test('as many at a time as the pool says, those that do not serve counted in', async (t) => {
  const ten = Array.from({ length: 10 }, (_, i) => member(`vm-${i}`))
  t.equal(steps(ten, { pool: poolWith({ maxUnavailable: 3 }) }).length, 3)
  t.equal(steps(ten, { pool: poolWith({ maxUnavailable: '20%' }) }).length, 2)
  t.equal(mostUnavailable(poolWith({ maxUnavailable: '20%' }), 3), 1, 'never none')
  t.same(steps([member('a'), member('b', { phase: 'lost' })]), [], 'one is missing already')
  t.same(steps([member('a'), member('b', { phase: 'unhealthy' })]), ['give b'], 'who serves nobody is first')
  t.same(steps([member('a'), member('b', { phase: 'draining' })]), ['give a'], 'who leaves is not waited for')
  t.same(steps([member('a'), member('b', { phase: 'joining', artifact: next })]), ['give a'])
})

t.test('a paused pool stays as it is', async (t) => {
  const pool = poolWith({ paused: true })
  t.same(steps([member('a', {}, true), member('b')], { pool }), [])
  t.same(
    steps([member('a', { phase: 'unhealthy' }, true)], { pool }),
    ['restart a'],
    'but for who serves nobody',
  )
})

t.test('an agent that waits for its restart has its turn, whatever asks for it', async (t) => {
  t.same(steps([member('a', {}, true), member('b', {}, true)], { artifacts: [first] }), ['restart a'])
  t.same(steps([member('a', { ...updating }, true), member('b')]), ['restart a'], 'within its own turn')
  const restarting = { ...updating, restart: { since: now } }
  t.same(steps([member('a', restarting, true), member('b', {}, true)]), [])
})

t.test('what does not get ready in time is taken back, and nobody else takes it', async (t) => {
  const late = { artifact: next, update: { since: now - 120_000, before: first, served: true } }
  t.same(steps([member('a', late), member('b')]), ['take-back a'])
  const restarted = { ...late, restart: { since: now - 20_000 } }
  t.same(steps([member('a', restarted), member('b')]), [], 'the start has its own time')
  t.same(steps([member('a', { ...late, phase: 'lost' }), member('b')]), [], 'who is away is judged when back')
  const back = { ...late, stream: { owner: 'c', epoch: 2, since: now - 1_000 } }
  t.same(steps([member('a', back), member('b')]), [])
  const refused = { refusedArtifact: { sha256: next.sha256, at: webPool.updatedAt, why: 'it crashed' } }
  const halted = [member('a', refused), member('b')]
  t.same(steps(halted), [], 'halted')
  t.same(steps(halted, { artifacts: [artifact('3')] }), ['give a'], 'until another version comes')
  const applied = { ...poolWith(), updatedAt: webPool.updatedAt + 1 }
  t.same(steps(halted, { pool: applied }), ['give a'], 'or the pool is applied again')
  const { wakeAt } = planRollout({
    ...{
      pool: poolWith(),
      members: [member('a', updating)],
      artifacts: [next],
      certificateTtlSeconds: 1,
      now,
    },
  })
  t.equal(wakeAt, now - 1_000 + 120_000)
})

t.test('who has no sidecar yet gets the offer, unless it failed and another is there', async (t) => {
  t.equal(artifactFor('amd64', [next, first], new Set()), next)
  t.equal(artifactFor('amd64', [next, first], new Set([next.sha256])), first)
  t.equal(artifactFor('amd64', [next], new Set([next.sha256])), next)
  t.equal(artifactFor('arm64', [next], new Set()), undefined)
})

t.test('progress in words', async (t) => {
  const at = (list: readonly RolloutMember[], pool = poolWith()) =>
    rolloutProgress(pool, new Map(list.map(({ vm, record }) => [vm, record])), [next])
  t.equal(at([]), undefined)
  t.match(at([member('a', { artifact: next }), member('b')]), {
    state: 'running',
    version: '2',
    updated: 1,
    total: 2,
  })
  t.match(at([member('a', { artifact: next })]), { state: 'done', updated: 1 })
  t.match(at([member('a', updating)]), { state: 'running', updated: 0, detail: /one VM/ })
  t.match(at([member('a')], poolWith({ paused: true })), { state: 'paused' })
  const refused = { refusedArtifact: { sha256: next.sha256, at: now, why: 'it crashed' } }
  t.match(at([member('a', refused), member('b')]), { state: 'halted', detail: /^a .*it crashed/ })
})

t.test('never more VMs out of service than the pool allows', async (t) => {
  const anyMember = fc.record({
    phase: fc.constantFrom(...phases),
    isNew: fc.boolean(),
    isUpdating: fc.boolean(),
    isClosed: fc.boolean(),
    pending: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(anyMember, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (list, most) => {
      const members = list.map(({ phase, isNew, isUpdating, isClosed, pending }, i) =>
        member(
          `vm-${i}`,
          {
            phase,
            artifact: isNew ? next : first,
            ...(isUpdating && { update: { since: now, before: first, served: true } }),
            ...(isClosed && { restart: { since: now } }),
          },
          pending,
        ),
      )
      const serving = members.filter(
        ({ record }) =>
          record.phase === 'ready' && record.update === undefined && record.restart === undefined,
      )
      const present = members.filter(
        ({ record }) => !['announced', 'left', 'draining'].includes(record.phase),
      )
      const out = present.filter(
        (each) => !serving.includes(each) && !['joining', 'joined'].includes(each.record.phase),
      ).length
      const done = steps(members, { pool: poolWith({ maxUnavailable: most }) })
      const stopped = done.filter((step) => serving.some(({ vm }) => step.endsWith(` ${vm}`))).length
      return stopped === 0 || out + stopped <= most
    }),
  )
  t.pass('holds')
})
