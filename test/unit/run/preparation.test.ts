import t from 'tap'
import { meshObstacle, prepareMesh } from '../../run/preparation.ts'

t.test('root on Linux may build a mesh, others are told what to do', async (t) => {
  t.equal(meshObstacle({ platform: 'linux', uid: 0 }), undefined)
  t.match(meshObstacle({ platform: 'linux', uid: 1000 }), /need root.*--without-mesh/)
  t.match(meshObstacle({ platform: 'darwin', uid: 0 }), /need Linux, and this is darwin/)
})

t.test('a step that fails stops the preparation and is named', async (t) => {
  const cwd = t.testdir({
    packaging: { executable: { 'build.ts': 'process.exitCode = 4' } },
  })
  const titles: string[] = []
  const deps = {
    platform: 'linux',
    uid: 0,
    node: process.execPath,
    cwd,
    env: process.env,
    title: (text: string) => titles.push(text),
  }
  await t.rejects(prepareMesh(deps, AbortSignal.timeout(60_000)), /agent executable failed with exit code 4/)
  t.equal(titles.length, 1, 'the next step was not tried')
  await t.rejects(prepareMesh({ ...deps, uid: 7 }, AbortSignal.timeout(60_000)), /need root/)
})
