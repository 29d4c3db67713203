import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { errorText, MooringError } from '../shared/errors.ts'
import { Secret } from '../shared/secret.ts'
import type { Terminal } from './terminal.ts'

/** A PKCS#12 file with key and certificate of an operator, and what opens it. */
export interface ClientCertificate {
  readonly pfx: Buffer
  readonly password: Secret
}

export interface ClientCertificateSource {
  readonly file: string
  /** Holds the password in its first line; asked for when absent. */
  readonly passwordFile: string | undefined
  readonly terminal: Pick<Terminal, 'secret'>
}

/** Reads a PKCS#12 file and opens it once, so that a wrong password is told from a controller that refuses. */
export async function readClientCertificate(source: ClientCertificateSource): Promise<ClientCertificate> {
  const { file, passwordFile, terminal } = source
  const pfx = await readFile(file).catch((cause: unknown) => {
    throw unusable(`${file} cannot be read: ${errorText(cause)}`, cause)
  })
  const password = await readPassword({ passwordFile, terminal, question: `Password of ${file}: ` })
  try {
    createSecureContext({ pfx, passphrase: password.reveal() })
  } catch (cause) {
    const isWrong = /mac verify failure|invalid password/i.test(errorText(cause))
    throw unusable(isWrong ? `${file}: the password is wrong` : `${file} is no PKCS#12 file`, cause)
  }
  return { pfx, password }
}

/** A password out of a file, or from the person at the terminal; never from the command line. */
export async function readPassword(source: {
  readonly passwordFile: string | undefined
  readonly terminal: Pick<Terminal, 'secret'>
  readonly question: string
}): Promise<Secret> {
  const { passwordFile, terminal, question } = source
  if (passwordFile === undefined) return new Secret(await terminal.secret(question))
  const text = await readFile(passwordFile, 'utf8').catch((cause: unknown) => {
    throw unusable(`${passwordFile} cannot be read: ${errorText(cause)}`, cause)
  })
  const password = text.split(/\r?\n/, 1)[0] ?? ''
  if (password === '') throw unusable(`${passwordFile} holds no password in its first line`)
  return new Secret(password)
}

function unusable(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail, cause })
}
