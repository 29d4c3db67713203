import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createArtifacts } from '../../../../controller/api/artifacts.ts'
import { silentLog } from '../../../../shared/log.ts'

function setUp(t: { teardown(fn: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-artifacts-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'sidecar.tar.gz')
  const deps = {
    files: [{ version: '1.29.1', arch: 'amd64' as const, file }],
    cacheFile: join(folder, 'artifacts.json'),
    kept: { list: () => [], fileOf: () => undefined },
    log: silentLog,
  }
  return { file, deps }
}
const sha = (content: string) => createHash('sha256').update(content).digest('hex')

t.test('an archive is announced by its digest and size, and read in parts', async (t) => {
  const { file, deps } = setUp(t)
  writeFileSync(file, 'some bytes')
  const artifacts = await createArtifacts(deps)
  t.same(artifacts.list(), [{ version: '1.29.1', arch: 'amd64', sha256: sha('some bytes'), size: 10 }])
  t.equal(await text(await artifacts.read(sha('some bytes'), 5, 8)), 'byte')
  t.equal(artifacts.find(sha('other')), undefined)
  await t.rejects(artifacts.read(sha('other'), 0, 1), { code: 'NOT_FOUND' })
})

t.test('a file that is as it was is not read again; a changed one is', async (t) => {
  const { file, deps } = setUp(t)
  const time = new Date(1_700_000_000_000)
  writeFileSync(file, 'some bytes')
  utimesSync(file, time, time)
  await createArtifacts(deps)
  writeFileSync(file, 'SOME BYTES')
  utimesSync(file, time, time)
  t.equal((await createArtifacts(deps)).list()[0]?.sha256, sha('some bytes'), 'by size and time')
  utimesSync(file, time, new Date(1_700_000_001_000))
  t.equal((await createArtifacts(deps)).list()[0]?.sha256, sha('SOME BYTES'))
  writeFileSync(deps.cacheFile, 'half a f')
  t.equal((await createArtifacts(deps)).list()[0]?.sha256, sha('SOME BYTES'), 'a damaged memory is none')
})

t.test('a file that is replaced while in use is not handed out under the old digest', async (t) => {
  const { file, deps } = setUp(t)
  writeFileSync(file, 'some bytes')
  const artifacts = await createArtifacts(deps)
  writeFileSync(file, 'some other bytes')
  await t.rejects(artifacts.read(sha('some bytes'), 0, 9), { code: 'ARTIFACT_UNAVAILABLE' })
  rmSync(file)
  await t.rejects(artifacts.read(sha('some bytes'), 0, 9), { code: 'ARTIFACT_UNAVAILABLE' })
})

t.test('an archive that is not there stops the start', async (t) => {
  const { deps, file } = setUp(t)
  await t.rejects(createArtifacts(deps), { code: 'CONFIG_INVALID', detail: new RegExp(file) })
})
