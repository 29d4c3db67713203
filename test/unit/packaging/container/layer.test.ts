import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { extract } from 'tar-stream'
import { type LayerEntry, packLayer } from '../../../../packaging/container/layer.ts'

const sha256 = (data: Buffer) => `sha256:${createHash('sha256').update(data).digest('hex')}`

t.test('a layer holds what it was given, each after its folder, with fixed times and owners', async (t) => {
  const folder = t.testdir({ program: '#!/usr/bin/node\n' })
  const entries: readonly LayerEntry[] = [
    { name: 'usr/bin/a', file: path.join(folder, 'program'), mode: 0o755 },
    { name: 'usr/bin/b', link: 'a' },
    { name: 'etc/x', content: 'text\n' },
    { name: 'var/own', folder: true, mode: 0o700, uid: 65_532 },
  ]
  const layer = await packLayer(entries, { folder, epoch: 1000, draft: true })
  const stored = readFileSync(path.join(folder, layer.digest.slice('sha256:'.length)))
  t.equal(sha256(stored), layer.digest)
  t.equal(stored.length, layer.size)
  const tar = gunzipSync(stored)
  t.equal(sha256(tar), layer.diffId)

  const found: object[] = []
  const reader = extract()
  reader.end(tar)
  for await (const entry of reader) {
    const { name, mode, uid, gid, mtime, linkname } = entry.header
    const text = (await buffer(entry as AsyncIterable<Uint8Array>)).toString()
    found.push({ name, mode, uid, gid, seconds: (mtime?.getTime() ?? 0) / 1000, linkname, text })
  }
  const root = { uid: 0, gid: 0, seconds: 1000, linkname: null, text: '' }
  t.same(found, [
    { ...root, name: 'etc/', mode: 0o755 },
    { ...root, name: 'etc/x', mode: 0o644, text: 'text\n' },
    { ...root, name: 'usr/', mode: 0o755 },
    { ...root, name: 'usr/bin/', mode: 0o755 },
    { ...root, name: 'usr/bin/a', mode: 0o755, text: '#!/usr/bin/node\n' },
    { ...root, name: 'usr/bin/b', mode: 0o777, linkname: 'a' },
    { ...root, name: 'var/', mode: 0o755 },
    { ...root, name: 'var/own/', mode: 0o700, uid: 65_532, gid: 65_532 },
  ])
})

t.test('the same entries in another order give the same bytes', async (t) => {
  const folder = t.testdir({})
  const entries: readonly LayerEntry[] = [
    { name: 'b/c', content: 'c' },
    { name: 'a', content: 'a' },
  ]
  const options = { folder, epoch: 0, draft: false }
  const first = await packLayer(entries, options)
  t.same(await packLayer(entries.toReversed(), options), first)
})

t.test('a file that is not there stops it', async (t) => {
  const folder = t.testdir({})
  await writeFile(path.join(folder, 'there'), '')
  const entries: readonly LayerEntry[] = [
    { name: 'a', file: path.join(folder, 'there') },
    { name: 'b', file: path.join(folder, 'nowhere') },
  ]
  await t.rejects(packLayer(entries, { folder, epoch: 0, draft: true }), { code: 'ENOENT' })
})
