import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import type { Artifacts } from '../../../../agent/sidecar/artifact.ts'
import { createInstallStep } from '../../../../agent/steps/install.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const artifact = { version: '1', arch: 'amd64' as const, sha256: 'a'.repeat(64), size: 1 }
const bundle = someBundle((b) => {
  b.sidecar.artifacts = [artifact]
})

function world(baked: boolean, changesAfterwards = false) {
  const done: string[] = []
  let installed = baked
  let inUse = false
  const artifacts: Artifacts = {
    installed: async () => installed,
    inUse: async () => installed && inUse,
    download: async () => {
      done.push('download')
      return '/archive'
    },
    unpack: async (_artifact, archive) => {
      done.push(`unpack ${archive}`)
      installed = true
    },
    use: async () => {
      done.push('use')
      inUse = !changesAfterwards
    },
  }
  const effects = createEffects({ after: (name) => done.push(name) })
  return { done, step: createInstallStep({ artifacts, arch: 'amd64', effects }) }
}

t.test('what is not there is brought', async (t) => {
  const { done, step } = world(false)
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.ok(await step.check(bundle, signal))
  t.same(done, ['download', 'artifact-downloaded', 'unpack /archive', 'artifact-installed', 'use'])
})

t.test('what the image brought is used', async (t) => {
  const { done, step } = world(true)
  await step.apply(bundle, signal)
  t.same(done, ['use'])
})

t.test('a platform without a sidecar, and a version that changes under our hands, are errors', async (t) => {
  await t.rejects(world(false).step.check(someBundle(), signal), { code: 'ARTIFACT_UNAVAILABLE' })
  await t.rejects(world(true, true).step.apply(bundle, signal), { code: 'ARTIFACT_INVALID' })
})
