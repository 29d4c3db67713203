import t from 'tap'
import { readAr, writeAr } from '../../../../packaging/linux-packages/ar.ts'

const members = [
  { name: 'debian-binary', content: Buffer.from('2.0\n') },
  { name: 'data.tar.xz', content: Buffer.from('odd') },
  { name: 'last', content: Buffer.alloc(0) },
]

t.test('what is written is read again', async (t) => {
  const archive = writeAr(members, 1_700_000_000)
  t.same(readAr(archive), members)
  t.equal(archive.length % 2, 0, 'every file starts at an even place')
  t.same(writeAr(members, 1_700_000_000), archive)
})

t.test('anything else is refused', async (t) => {
  t.throws(() => readAr(Buffer.from('PK')), /no ar archive/)
  const archive = writeAr(members, 0)
  t.throws(() => readAr(archive.subarray(0, 70)), /damaged at byte 8/)
  t.throws(() => writeAr([{ name: 'a-name-of-17-bytes', content: Buffer.alloc(1) }], 0), /too long/)
})
