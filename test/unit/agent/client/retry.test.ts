import fc from 'fast-check'
import t from 'tap'
import { pick, retryDelay } from '../../../../agent/client/retry.ts'
import { type ErrorCode, errorCatalogue } from '../../../../shared/error-catalogue.ts'
import { MooringError } from '../../../../shared/errors.ts'

const codes = Object.keys(errorCatalogue) as ErrorCode[]

t.test('delays grow from 0.2 s to 30 s, for what only people can mend to 5 min', async (t) => {
  const caps = (code: ErrorCode) =>
    [1, 2, 3, 8, 30].map((failures) => retryDelay(new MooringError(code), failures).toMs)
  t.same(caps('CONTROLLER_UNREACHABLE'), [200, 400, 800, 25_600, 30_000])
  t.same(caps('TOKEN_EXPIRED'), [2_000, 4_000, 8_000, 256_000, 300_000])
  t.same(caps('CONTROLLER_UNTRUSTED'), caps('TOKEN_EXPIRED'))
})

t.test('Retry-After is honoured, and bounded', async (t) => {
  t.same(retryDelay(new MooringError('RATE_LIMITED', { retryAfterSeconds: 7 }), 1), {
    fromMs: 7_000,
    toMs: 7_200,
  })
  const long = retryDelay(new MooringError('UNAVAILABLE', { retryAfterSeconds: 1e6 }), 1)
  t.equal(long.fromMs, 300_000)
})

t.test('for every error and any number of failures there is a next attempt within ten minutes', async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codes),
      fc.nat(1e6),
      fc.option(fc.nat(1e6), { nil: undefined }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (code, failures, wait, random) => {
        const error = new MooringError(code, wait === undefined ? {} : { retryAfterSeconds: wait })
        const ms = pick(retryDelay(error, failures), random)
        return Number.isInteger(ms) && ms >= 0 && ms <= 600_000
      },
    ),
  )
  t.pass('there is')
})
