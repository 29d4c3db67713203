import fc from 'fast-check'
import t from 'tap'
import { statusAnnotation } from '../../../../../controller/store/kubernetes/resources.ts'
import { carriedStatus, vmParts, vmRecord } from '../../../../../controller/store/kubernetes/vm-codec.ts'
import { VmSpec, VmStatus } from '../../../../../controller/store/kubernetes/vm-schema.ts'
import type { VmRecord } from '../../../../../controller/store/records.ts'
import { fullRecord } from '../../../../fakes/kubernetes-store.ts'

const metadata = { name: 'vm-1', namespace: 'shop', generation: 1 }
/** As the API server would give it back. */
const wire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
const through = (record: VmRecord) => vmRecord(wire({ metadata, ...vmParts(record) }))

t.test('every field of a record has its place, and none of the schemas is unused', async (t) => {
  const { spec, status } = vmParts(fullRecord)
  t.same(Object.keys(spec).toSorted(), Object.keys(VmSpec.properties).toSorted())
  t.same(Object.keys(status).toSorted(), Object.keys(VmStatus.properties).toSorted())
  t.equal(spec.admittedAt, '2027-01-15T08:00:00.123Z')
  t.same(through(fullRecord), fullRecord)
})

t.test('any record comes back as it was put, also with what no schema foresees', async (t) => {
  const keys = Object.keys(fullRecord) as (keyof VmRecord)[]
  const strange = fc.dictionary(fc.constantFrom(...keys, 'unforeseen', '__proto', 'further2'), fc.jsonValue())
  const moment = fc.record({
    lastSeenAt: fc.maxSafeNat(),
    phaseSince: fc.double({ noNaN: true, noDefaultInfinity: true }),
  })
  fc.assert(
    fc.property(strange, moment, (odd, moments) => {
      const record = wire({ ...fullRecord, ...moments, ...odd }) as VmRecord
      t.same(through(record), record)
    }),
    { numRuns: 300 },
  )
})

t.test(
  'a status that came with the spec counts until it is in its place, or the spec is another one',
  async (t) => {
    const { spec, status } = vmParts(fullRecord)
    const carried = vmParts({ ...fullRecord, phase: 'left' }).status
    const object = (generation: number, observedGeneration: number, noted = 2) => ({
      metadata: {
        ...metadata,
        generation,
        annotations: { [statusAnnotation]: carriedStatus(carried, noted) },
      },
      spec,
      status: { ...status, observedGeneration },
    })
    t.equal(vmRecord(object(2, 1)).phase, 'left')
    t.equal(vmRecord(object(2, 2)).phase, 'ready')
    t.equal(vmRecord(object(3, 1)).phase, 'ready')
    const broken = {
      ...object(2, 1),
      metadata: { ...metadata, generation: 2, annotations: { [statusAnnotation]: '{' } },
    }
    t.equal(vmRecord(broken).phase, 'ready')
  },
)

t.test('without a status nothing is known to be well, and no certificate to have ended', async (t) => {
  const record = vmRecord({ metadata, spec: vmParts(fullRecord).spec })
  t.match(record, { phase: 'lost', health: 'unknown', conditions: [], address: '10.0.0.7' })
  t.equal(record.workloadCertificateUntil, fullRecord.admittedAt + 8 * 86_400_000)
  t.throws(() => vmRecord({ metadata, spec: { pool: 'web' } }), { code: 'STORE_UNREADABLE' })
})
