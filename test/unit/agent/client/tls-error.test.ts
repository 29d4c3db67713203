import t from 'tap'
import { connectionError } from '../../../../agent/client/tls-error.ts'
import { MooringError } from '../../../../shared/errors.ts'

const now = Date.UTC(2030, 0, 2)
const failure = (code: string) => Object.assign(new Error('what OpenSSL says'), { code })

t.test('a chain or a name that is not accepted is a matter of trust', async (t) => {
  for (const code of [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ]) {
    const error = connectionError(failure(code), 'c:8443', now)
    t.match(error, { code: 'CONTROLLER_UNTRUSTED', detail: 'c:8443: what OpenSSL says' })
  }
})

t.test('a certificate out of its time is a matter of the clock, and the clock is told', async (t) => {
  const early = connectionError(failure('CERT_NOT_YET_VALID'), 'c:8443', now)
  t.match(early, { code: 'CLOCK_WRONG', detail: /is not valid yet by the clock.*2030-01-02T00:00:00/ })
  t.match(connectionError(failure('CERT_HAS_EXPIRED'), 'c', now), {
    code: 'CLOCK_WRONG',
    detail: /has ended/,
  })
})

t.test('everything else is a controller that cannot be reached', async (t) => {
  t.match(connectionError(failure('ECONNREFUSED'), 'c', now), { code: 'CONTROLLER_UNREACHABLE' })
  t.match(connectionError('odd', 'c', now), { code: 'CONTROLLER_UNREACHABLE', detail: 'c: odd' })
  const known = new MooringError('DISK_FULL')
  t.equal(connectionError(known, 'c', now), known)
})
