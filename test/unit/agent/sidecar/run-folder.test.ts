import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { sidecarFileList } from '../../../../agent/sidecar/files.ts'
import { createRunFolder } from '../../../../agent/sidecar/run-folder.ts'
import { someBundle } from '../bundle.ts'

function world(t: Test) {
  const state = t.testdir()
  const path = join(state, 'sidecar/run')
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  return { state, path, folder: createRunFolder({ path, state, user }) }
}
const files = sidecarFileList(someBundle())
const token = 'var/run/secrets/tokens/istio-token'

t.test('files are written with their modes, and only what differs is touched', async (t) => {
  const { path, folder } = world(t)
  t.notOk(await folder.holds(files))
  await folder.write(files)
  t.ok(await folder.holds(files))
  t.equal(await readFile(join(path, token), 'utf8'), 'secret-token')
  t.equal((await stat(join(path, token))).mode & 0o777, 0o600)
  const root = await stat(join(path, 'etc/certs/root-cert.pem'))
  const fresh = sidecarFileList(
    someBundle((bundle) => {
      bundle.token.value = 'fresh'
    }),
  )
  t.notOk(await folder.holds(fresh))
  await folder.write(fresh)
  t.equal(await readFile(join(path, token), 'utf8'), 'fresh')
  t.equal((await stat(join(path, 'etc/certs/root-cert.pem'))).ino, root.ino, 'not written again')
  t.same(await readdir(join(path, 'var/run/secrets/tokens')), ['istio-token'], 'nothing temporary is left')
})

t.test('keys and certificates of another identity are removed', async (t) => {
  const { path, folder } = world(t)
  await folder.write(files)
  await writeFile(join(path, 'etc/certs/key.pem'), 'old')
  t.notOk(await folder.holds(files))
  await mkdir(join(path, 'var/run/secrets/workload-spiffe-credentials'))
  await writeFile(join(path, 'var/run/secrets/workload-spiffe-credentials/key.pem'), 'old')
  await writeFile(join(path, 'etc/istio/proxy/envoy-rev.json'), 'the sidecar wrote it')
  await folder.write(files)
  t.ok(await folder.holds(files))
  t.same(await readdir(join(path, 'etc/certs')), ['root-cert.pem'])
  t.same((await readdir(join(path, 'var/run/secrets'))).toSorted(), ['tokens', 'workload-spiffe-uds'])
  t.same(await readdir(join(path, 'etc/istio/proxy')), ['envoy-rev.json'])
})

t.test('a mode that shows the token, or shuts the sidecar out, is mended', async (t) => {
  const { path, state, folder } = world(t)
  await folder.write(files)
  await chmod(join(path, token), 0o644)
  t.notOk(await folder.holds(files))
  await folder.write(files)
  t.equal((await stat(join(path, token))).mode & 0o777, 0o600)
  await chmod(state, 0o700)
  t.notOk(await folder.holds(files))
  await folder.write(files)
  t.equal((await stat(state)).mode & 0o777, 0o711)
  t.ok(await folder.holds(files))
})
