import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import type { Artifacts } from '../../../../agent/sidecar/artifact.ts'
import type { InstalledVersion } from '../../../../agent/sidecar/artifact-manifest.ts'
import { createInstallStep } from '../../../../agent/steps/install.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const artifact = { version: '1', arch: 'amd64' as const, sha256: 'a'.repeat(64), size: 1 }
const other = { ...artifact, version: '3', sha256: 'c'.repeat(64) }
const offering = (offer: typeof artifact) =>
  someBundle((b) => {
    b.sidecar.artifacts = [offer]
  })
const bundle = offering(artifact)
const old: InstalledVersion = { version: '0', folder: '/v/0', sha256: 'b'.repeat(64) }

interface World {
  readonly baked?: boolean
  readonly changesAfterwards?: boolean
  /** What `current` names before. */
  inForce?: InstalledVersion
  /** What a download fails with. */
  fault?: unknown
}

function world(facts: World = {}) {
  const done: string[] = []
  const clock = createFakeClock()
  const installed = new Set<string>(facts.baked === true ? [artifact.sha256] : [])
  let current = facts.inForce
  const artifacts: Artifacts = {
    installed: async ({ sha256 }) => installed.has(sha256),
    inUse: async ({ sha256 }) => installed.has(sha256) && current?.sha256 === sha256,
    inForce: async () => current,
    download: async () => {
      done.push('download')
      if (facts.fault !== undefined) throw facts.fault
      return '/archive'
    },
    unpack: async ({ sha256 }, archive) => {
      done.push(`unpack ${archive}`)
      installed.add(sha256)
    },
    use: async ({ version, sha256 }) => {
      done.push('use')
      if (facts.changesAfterwards !== true) current = { version, folder: `/v/${version}`, sha256 }
    },
  }
  const effects = createEffects({ after: (name) => done.push(name) })
  const step = createInstallStep({
    ...{ artifacts, arch: 'amd64', clock, log: silentLog, effects, random: () => 0.5 },
  })
  /** One look, as convergence does it; returns whether there was something to do. */
  const look = async (wanted = bundle) => {
    if (await step.check(wanted, signal)) return false
    await step.apply(wanted, signal)
    return true
  }
  return {
    ...{ done, step, clock, look },
    damage: () => {
      current = undefined
    },
  }
}

t.test('what is not there is brought', async (t) => {
  const { done, step, look } = world()
  t.ok(await look())
  t.notOk(await look())
  t.same(done, ['download', 'artifact-downloaded', 'unpack /archive', 'artifact-installed', 'use'])
  t.equal(step.note?.(), undefined)
})

t.test('what the image brought is used', async (t) => {
  const { done, look } = world({ baked: true })
  t.ok(await look())
  t.same(done, ['use'])
})

t.test('with nothing else on disk, what goes wrong is an error', async (t) => {
  await t.rejects(world().look(someBundle()), { code: 'ARTIFACT_UNAVAILABLE' })
  await t.rejects(world({ baked: true, changesAfterwards: true }).look(), { code: 'ARTIFACT_INVALID' })
  const fault = new MooringError('ARTIFACT_DIGEST_MISMATCH')
  await t.rejects(world({ fault }).look(), { code: 'ARTIFACT_DIGEST_MISMATCH' })
})

t.test('an offer that cannot be installed: the version that is here goes on, and it is said', async (t) => {
  const cases: [string, unknown, RegExp][] = [
    ['ARTIFACT_DIGEST_MISMATCH', new MooringError('ARTIFACT_DIGEST_MISMATCH'), /version 0 goes on/],
    ['DISK_FULL', new MooringError('DISK_FULL', { detail: '/var' }), /^\/var; version 0 goes on$/],
    ['INTERNAL', new TypeError('read error'), /read error/],
  ]
  for (const [reason, fault, message] of cases) {
    const { step, look } = world({ inForce: old, fault })
    t.ok(await look())
    t.match(step.note?.(), { status: 'False', reason, message }, reason)
  }
  const none = world({ inForce: old })
  await none.look(someBundle())
  t.match(none.step.note?.(), { status: 'False', reason: 'ARTIFACT_UNAVAILABLE' })
})

t.test('it is tried again, seldom, and at once when another is offered', async (t) => {
  const facts: World = { inForce: old, fault: new MooringError('ARTIFACT_UNAVAILABLE') }
  const { step, done, look, clock } = world(facts)
  const tries = () => done.filter((what) => what === 'download').length
  t.ok(await look())
  t.notOk(await look(), 'not again right away')
  await clock.advance(6_000)
  t.ok(await look())
  await clock.advance(6_000)
  t.notOk(await look(), 'the second pause is longer')
  t.equal(tries(), 2)
  t.ok(await look(offering(other)), 'that one was never tried')
  t.equal(tries(), 3)
  delete facts.fault
  await clock.advance(6_000)
  t.ok(await look(offering(other)))
  t.equal(step.note?.(), undefined, 'all is well')
})

t.test('the offer is taken back: nothing is wrong any more', async (t) => {
  const { step, look } = world({ baked: true })
  await look()
  await look(someBundle())
  t.match(step.note?.(), { status: 'False' })
  t.notOk(await look())
  t.equal(step.note?.(), undefined)
})

t.test('the version that is here is gone too: that is an error at once', async (t) => {
  const { damage, look } = world({ inForce: old, fault: new MooringError('ARTIFACT_UNAVAILABLE') })
  await look()
  damage()
  await t.rejects(look(), { code: 'ARTIFACT_UNAVAILABLE' })
})

t.test('a revoked key and a stop are not made up for', async (t) => {
  await t.rejects(world({ inForce: old, fault: new MooringError('KEY_REVOKED') }).look(), {
    code: 'KEY_REVOKED',
  })
  const { step } = world({ inForce: old, fault: new MooringError('ARTIFACT_UNAVAILABLE') })
  await t.rejects(step.apply(bundle, AbortSignal.abort(new MooringError('UNAVAILABLE'))), {
    code: 'UNAVAILABLE',
  })
  t.equal(step.note?.(), undefined)
})
