import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { unpackArchive } from '../../../../agent/sidecar/artifact-archive.ts'
import { archiveFile, type Entry, goodEntries } from './archives.ts'

const { signal } = new AbortController()

t.test('the three files come out, with their digests and modes', async (t) => {
  const base = t.testdir({ out: {} })
  const archive = await archiveFile(join(base, 'a'), goodEntries)
  const files = await unpackArchive(archive, join(base, 'out'), signal)
  t.same(
    files.map(({ path, size }) => [path, size]),
    [
      ['bin/pilot-agent', 9],
      ['bin/envoy', 90_000],
      ['envoy_bootstrap_tmpl.json', 2],
    ],
  )
  t.equal(await readFile(join(base, 'out/bin/pilot-agent'), 'utf8'), 'the agent')
  t.equal((await stat(join(base, 'out/bin/envoy'))).mode & 0o7777, 0o755)
  t.equal((await stat(join(base, 'out/envoy_bootstrap_tmpl.json'))).mode & 0o7777, 0o644)
})

const bad: Record<string, readonly Entry[]> = {
  'a missing file': goodEntries.slice(1),
  'a further file': [...goodEntries, { name: 'bin/more' }],
  'a file twice': [...goodEntries, ...goodEntries.slice(0, 1)],
  'a path upwards': [{ name: '../bin/envoy' }, ...goodEntries],
  'a path upwards inside': [{ name: 'bin/../bin/envoy' }, ...goodEntries],
  'an absolute path': [{ name: '/bin/envoy' }, ...goodEntries],
  'a folder': [{ name: 'bin/', type: 'directory' }, ...goodEntries],
  'a symbolic link': [
    { name: 'bin/envoy', type: 'symlink', linkname: '/bin/sh' },
    ...goodEntries.slice(0, 1),
  ],
  'a hard link': [{ name: 'bin/envoy', type: 'link', linkname: 'bin/pilot-agent' }],
  'a device': [{ name: 'bin/envoy', type: 'character-device' }],
  nothing: [],
}
for (const [what, entries] of Object.entries(bad)) {
  t.test(`refused: ${what}`, async (t) => {
    const base = t.testdir({ out: {} })
    const archive = await archiveFile(join(base, 'a'), entries)
    await t.rejects(unpackArchive(archive, join(base, 'out'), signal), { code: 'ARTIFACT_INVALID' })
    t.same((await readdir(base)).toSorted(), ['a', 'out'], 'nothing was written beside the folder')
  })
}

t.test('refused: what is not an archive at all', async (t) => {
  const base = t.testdir({ out: {} })
  const path = join(base, 'a')
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), async (bytes, zipped) => {
      await writeFile(path, zipped ? gzipSync(bytes) : bytes)
      await unpackArchive(path, join(base, 'out'), signal).then(
        () => Promise.reject(new Error('accepted')),
        (error) => (error.code === 'ARTIFACT_INVALID' ? undefined : Promise.reject(error)),
      )
    }),
    { numRuns: 60 },
  )
  t.pass('any bytes')
})

t.test('refused: an archive that ends too early', async (t) => {
  const base = t.testdir({ out: {} })
  const whole = await readFile(await archiveFile(join(base, 'a'), goodEntries))
  for (const length of [10, whole.length >> 1, whole.length - 9]) {
    const out = join(base, `out-${length}`)
    await mkdir(out)
    await writeFile(join(base, 'a'), whole.subarray(0, length))
    await t.rejects(
      unpackArchive(join(base, 'a'), out, signal),
      { code: 'ARTIFACT_INVALID' },
      `${length} bytes`,
    )
  }
})
