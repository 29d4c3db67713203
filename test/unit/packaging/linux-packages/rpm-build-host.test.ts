import { createHash } from 'node:crypto'
import t from 'tap'
import { withBuildHost } from '../../../../packaging/linux-packages/rpm-build-host.ts'
import {
  int32s,
  type RpmEntry,
  readRpmHeader,
  writeRpmHeader,
} from '../../../../packaging/linux-packages/rpm-header.ts'

const text = (tag: number, value: string): RpmEntry => ({
  ...{ tag, type: 6, count: 1 },
  data: Buffer.from(`${value}\0`),
})
const lead = Buffer.alloc(96, 7)
const payload = Buffer.from('what is installed')

/** An rpm as nfpm writes it, with a host's name that moves what must stay aligned. */
function rpm(host: string, more: readonly RpmEntry[] = []): Buffer {
  const header = writeRpmHeader({
    region: 63,
    entries: [
      text(1000, 'mooring'),
      { tag: 1006, type: 4, count: 1, data: int32s(1_700_000_000) },
      text(1007, host),
      { tag: 1028, type: 4, count: 2, data: int32s(1, 2) },
      { tag: 1030, type: 3, count: 1, data: Buffer.from([0x41, 0xed]) },
      { tag: 1117, type: 8, count: 2, data: Buffer.from('a\0bc\0') },
    ],
  })
  const signatures = writeRpmHeader({
    region: 62,
    entries: [
      text(273, createHash('sha256').update(header).digest('hex')),
      { tag: 1000, type: 4, count: 1, data: int32s(header.length + payload.length) },
      ...more,
      { tag: 1007, type: 4, count: 1, data: int32s(4096) },
    ],
  })
  const padding = Buffer.alloc((8 - (signatures.length % 8)) % 8)
  return Buffer.concat([lead, signatures, padding, header, payload])
}

t.test('made on whatever machine, it is the same in the end', async (t) => {
  const wanted = rpm('reproducible')
  for (const host of ['', 'a', 'ab', 'abc', 'builder-7.example.org', 'reproducible']) {
    t.ok(withBuildHost(rpm(host), 'reproducible').equals(wanted), `from ${JSON.stringify(host)}`)
  }
})

t.test('what is written is read again', async (t) => {
  const { header, end } = readRpmHeader(rpm('x'), 96)
  const written = writeRpmHeader(header)
  t.same(readRpmHeader(written, 0), { header, end: written.length })
  t.equal(end, 96 + written.length)
})

t.test('signed or damaged, it is left alone', async (t) => {
  const pgp = { tag: 1002, type: 7, count: 3, data: Buffer.from('pgp') }
  t.throws(() => withBuildHost(rpm('x', [pgp]), 'y'), /signed.*1002/)
  t.throws(() => withBuildHost(Buffer.alloc(200), 'y'), /damaged at byte 96/)
  const whole = rpm('x')
  t.throws(() => withBuildHost(whole.subarray(0, 300), 'y'), /damaged/)
})
