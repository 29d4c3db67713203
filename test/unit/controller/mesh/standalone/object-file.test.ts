import fc from 'fast-check'
import t from 'tap'
import type { IstioObject } from '../../../../../controller/mesh/mesh.ts'
import { refOf, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import {
  fileName,
  fileText,
  nudged,
  parseFile,
  refText,
  revisionOf,
} from '../../../../../controller/mesh/standalone/object-file.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'

const entry = workloadEntry({
  vm: 'i-1',
  record: vmOf(),
  poolName: 'web',
  pool: poolOf(webSpec),
  health: 'open',
})

t.test('what is written is read back', async (t) => {
  const bare: IstioObject = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: 'istio-system' },
    spec: {},
  }
  for (const object of [entry, bare]) {
    const written = { object, revision: revisionOf(object) }
    t.strictSame(parseFile(fileText([written])), [written])
  }
  const both = [entry, bare].map((object) => ({ object, revision: revisionOf(object) }))
  t.strictSame(parseFile(fileText(both)), both)
  t.equal(fileText(both).split('\n').length, 3, 'a line for each')
})

t.test('what this program did not write is not taken for its own', async (t) => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => parseFile(text) === undefined))
  const text = fileText([{ object: entry, revision: 'r-0' }])
  t.equal(parseFile(text.replace('mesh.mooring/revision', 'mesh.mooring/other')), undefined)
  for (const cut of [1, 10]) t.equal(parseFile(text.slice(0, -cut)), undefined, 'cut short')
  t.equal(parseFile(`${text}{}\n`), undefined, 'one line of another')
})

t.test('a nudge changes the revision and nothing else', async (t) => {
  const first = { object: entry, revision: revisionOf(entry) }
  const second = nudged(first)
  t.equal(second.object, entry)
  t.equal(new Set([first.revision, second.revision, nudged(second).revision]).size, 3)
  t.not(revisionOf({ ...entry, spec: {} }), revisionOf(entry))
})

t.test(
  'entries share a few files; every other object has its own, with a name that file systems take',
  async (t) => {
    const of = (name: string) => fileName({ ...refOf(entry), name })
    const used = new Set(Array.from({ length: 1000 }, (_, i) => of(`i-${i}`)))
    t.equal(used.size, 32)
    t.match([...used].sort()[0], 'WorkloadEntry.00.yaml')
    const host = { kind: 'ServiceEntry', namespace: 'shop', name: 'a.b' } as const
    t.equal(fileName(host), 'ServiceEntry.shop.a.b.yaml')
    t.equal(refText(refOf(entry)), 'WorkloadEntry shop/i-1')
    const long = { kind: 'ServiceEntry', namespace: 'n'.repeat(63), name: 'h'.repeat(253) } as const
    t.ok(fileName(long).length < 255)
    t.not(fileName(long), fileName({ ...long, name: 'h'.repeat(252) }))
  },
)
