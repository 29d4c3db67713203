import { errorText, isMooringError, MooringError } from '../shared/errors.ts'

/** Node's codes (OpenSSL's names of verification results) for a certificate that is not trusted. */
const untrusted =
  /^(CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_(GET|VERIFY)|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH)/

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its name cannot be resolved',
  EAI_AGAIN: 'its name cannot be resolved right now',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'it does not answer',
  ECONNRESET: 'the connection was cut',
  EPROTO: 'what answers does not speak TLS',
}

/** What went wrong on the way to the controller, in the words of the error catalogue. */
export function transportFailure(error: unknown, server: URL): MooringError {
  if (isMooringError(error)) return error
  const code = codeOf(error)
  const where = server.origin
  if (untrusted.test(code)) {
    return new MooringError('CONTROLLER_UNTRUSTED', { detail: `${where}: ${errorText(error)}`, cause: error })
  }
  const what = words[code] ?? errorText(error)
  return new MooringError('CONTROLLER_UNREACHABLE', { detail: `${where}: ${what}`, cause: error })
}

function codeOf(error: unknown): string {
  // Several addresses were tried: the first failure stands for all.
  const first = error instanceof AggregateError ? error.errors[0] : error
  return first instanceof Error && 'code' in first ? String(first.code) : ''
}
