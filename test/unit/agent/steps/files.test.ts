import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import { createRunFolder } from '../../../../agent/sidecar/run-folder.ts'
import { createFilesStep } from '../../../../agent/steps/files.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()

t.test('files are checked, written, and checked again', async (t) => {
  const state = t.testdir()
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const done: string[] = []
  const step = createFilesStep({
    runFolder: createRunFolder({ path: `${state}/run`, state, user }),
    effects: createEffects({ after: (name) => done.push(name) }),
  })
  t.notOk(await step.check(someBundle(), signal))
  await step.apply(someBundle(), signal)
  t.ok(await step.check(someBundle(), signal))
  const other = someBundle((bundle) => {
    bundle.mesh.rootCertificates = 'NEW ROOT'
  })
  t.notOk(await step.check(other, signal))
  t.same(done, ['files-written'])
})
