import { errorText, MooringError } from '../../shared/errors.ts'

/** Codes of OpenSSL and BoringSSL for a chain or a name that is not accepted. */
const distrust: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REJECTED',
  'CERT_UNTRUSTED',
  'CERT_REVOKED',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'HOSTNAME_MISMATCH',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

const validity: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_HAS_EXPIRED: 'has ended',
}

/**
 * A failure to connect or to speak TLS, in the words of the catalogue. `now` is this VM's clock: a certificate
 * that seems out of its time is most often a clock that is wrong.
 */
export function connectionError(error: unknown, target: string, now: number): MooringError {
  if (error instanceof MooringError) return error
  const code = codeOf(error)
  const timing = validity[code]
  if (timing !== undefined) {
    const clock = new Date(now).toISOString()
    return new MooringError('CLOCK_WRONG', {
      detail: `the certificate of ${target} ${timing} by the clock of this VM, which says ${clock}; if that is right, the controller's certificate is wrong`,
      cause: error,
    })
  }
  if (distrust.has(code)) {
    return new MooringError('CONTROLLER_UNTRUSTED', {
      detail: `${target}: ${errorText(error)}`,
      cause: error,
    })
  }
  return new MooringError('CONTROLLER_UNREACHABLE', {
    detail: `${target}: ${errorText(error) || code}`,
    cause: error,
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
