import fc from 'fast-check'
import t from 'tap'
import { afterStream } from '../../../../agent/client/reconnect.ts'
import { closeCodes } from '../../../../shared/api/stream.ts'
import { type ErrorCode, errorCatalogue } from '../../../../shared/error-catalogue.ts'

const lost = { welcomed: true, closeCode: 1006 }

t.test('a lost stream is opened again within 0.2 s, then ever less often up to 5 s', async (t) => {
  const caps = [0, 1, 2, 5, 100].map((failures) => {
    const next = afterStream(lost, failures)
    return next.kind === 'again' && next.toMs
  })
  t.same(caps, [200, 400, 800, 5_000, 5_000])
  t.match(afterStream(lost, 0), { kind: 'again', fromMs: 0 })
})

t.test('each way of being refused has its own answer', async (t) => {
  t.same(afterStream({ ...lost, closeCode: closeCodes.revoked }, 0), { kind: 'revoked' })
  t.same(afterStream({ welcomed: false, closeCode: 1006, error: 'KEY_REVOKED' }, 0), { kind: 'revoked' })
  t.match(afterStream({ welcomed: false, closeCode: 1006, error: 'UNAUTHENTICATED' }, 0), { kind: 'renew' })
  t.match(afterStream({ ...lost, closeCode: closeCodes.replaced }, 0), { kind: 'again', fromMs: 30_000 })
  t.match(afterStream({ ...lost, closeCode: closeCodes.version }, 0), { kind: 'again', fromMs: 30_000 })
  t.match(afterStream({ ...lost, closeCode: closeCodes.protocol }, 0), { kind: 'again', fromMs: 1_000 })
  const busy = afterStream({ ...lost, closeCode: closeCodes.busy }, 0)
  t.match(busy, { kind: 'again', toMs: 2_000 }, 'a fleet spreads when its controller restarts')
})

t.test('whatever happens, only a revoked key ends it, and every pause has an end', async (t) => {
  const ends = fc.record(
    {
      welcomed: fc.boolean(),
      closeCode: fc.oneof(
        fc.constantFrom(...Object.values(closeCodes)),
        fc.integer({ min: 1000, max: 4999 }),
      ),
      error: fc.constantFrom(...(Object.keys(errorCatalogue) as ErrorCode[])),
    },
    { requiredKeys: ['welcomed', 'closeCode'] },
  )
  fc.assert(
    fc.property(ends, fc.nat(10_000), (end, failures) => {
      const next = afterStream(end, failures)
      if (next.kind === 'revoked') return end.error === 'KEY_REVOKED' || end.closeCode === closeCodes.revoked
      return next.fromMs >= 0 && next.fromMs <= next.toMs && next.toMs <= 300_000
    }),
  )
  t.pass('so it is')
})
