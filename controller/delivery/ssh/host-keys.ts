import { createHash, createHmac } from 'node:crypto'

/** A public key of a host, as sshd shows it. */
export interface HostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`. */
  readonly type: string
  /** The key blob of RFC 4253, section 6.6, in base64. */
  readonly key: string
}

/** A line of a list of known hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
interface KnownHost extends HostKey {
  readonly patterns: string
}

const types = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))$/
const base64 = /^[A-Za-z0-9+/]{16,8192}={0,2}$/

/** The key in the blob that a server showed. */
export function hostKeyOf(blob: Buffer): HostKey {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0
  const type = blob.subarray(4, 4 + Math.min(length, 64)).toString('latin1')
  return { type: types.test(type) ? type : 'unknown', key: blob.toString('base64') }
}

/** How people compare keys: SHA-256 as OpenSSH writes it. */
export function fingerprint({ key }: HostKey): string {
  const digest = createHash('sha256').update(Buffer.from(key, 'base64')).digest('base64')
  return `SHA256:${digest.replace(/=+$/, '')}`
}

export function sameKey(a: HostKey, b: HostKey): boolean {
  return a.type === b.type && a.key === b.key
}

/** How a host is called in such a list: a port other than 22 belongs to the name. */
export function knownName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`
}

/** A line of such a list. */
export function knownLine(name: string, { type, key }: HostKey): string {
  return `${name} ${type} ${key}`
}

/**
 * The keys that a list gives a host. Lines that are no keys say nothing; certificates (`@cert-authority`) are not
 * supported, and a key that is marked `@revoked` is in the second list.
 */
export function keysFor(
  list: string,
  host: string,
  port: number,
): { readonly known: readonly HostKey[]; readonly revoked: readonly HostKey[] } {
  const known: HostKey[] = []
  const revoked: HostKey[] = []
  const name = knownName(host.toLowerCase(), port)
  for (const line of list.split('\n')) {
    const isRevoked = /^@revoked\s/.test(line)
    const read = readLine(line.replace(/^@revoked\s+/, ''))
    if (read === undefined || !isNamed(read.patterns, name)) continue
    const { type, key } = read
    ;(isRevoked ? revoked : known).push({ type, key })
  }
  return { known, revoked }
}

function readLine(line: string): KnownHost | undefined {
  const [patterns = '', type = '', key = ''] = line.trim().split(/\s+/)
  if (/^[#@]/.test(patterns) || !types.test(type) || !base64.test(key)) return undefined
  return { patterns, type, key }
}

function isNamed(patterns: string, name: string): boolean {
  // Hashed names: |1|salt|HMAC-SHA1(salt, name).
  const [, salt, hash] = /^\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)$/.exec(patterns) ?? []
  if (salt !== undefined) {
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
  }
  const each = patterns.toLowerCase().split(',')
  if (each.some((pattern) => pattern.startsWith('!') && fits(pattern.slice(1), name))) return false
  return each.some((pattern) => fits(pattern, name))
}

/** Whether a name fits a pattern with `*` and `?`, in a time that no pattern can blow up. */
function fits(pattern: string, name: string): boolean {
  let [at, place, star, resume] = [0, 0, -1, 0]
  while (place < name.length) {
    if (pattern[at] === '*') {
      star = at
      resume = place
      at += 1
    } else if (pattern[at] === '?' || pattern[at] === name[place]) {
      at += 1
      place += 1
    } else if (star >= 0) {
      resume += 1
      at = star + 1
      place = resume
    } else return false
  }
  return /^\**$/.test(pattern.slice(at))
}

const blockBegin = '-----BEGIN SSH HOST KEY KEYS-----'
const blockEnd = '-----END SSH HOST KEY KEYS-----'

/**
 * The keys that a machine wrote to its console at its first boot (cloud-init's cc_keys_to_console). The first whole block
 * counts: what comes later can have been written by whoever got into the machine meanwhile.
 */
export function keysInConsole(log: string): readonly HostKey[] {
  const begin = log.indexOf(blockBegin)
  const end = log.indexOf(blockEnd, begin)
  if (begin < 0 || end < 0) return []
  const keys: HostKey[] = []
  for (const line of log.slice(begin + blockBegin.length, end).split('\n')) {
    // A console puts its time, or the name of the writing program, before each line.
    const [, type = '', key = ''] =
      /\b((?:ssh|ecdsa)-[a-z0-9-]+) ([A-Za-z0-9+/]+={0,2})(?=\s|$)/.exec(line) ?? []
    if (types.test(type) && base64.test(key)) keys.push({ type, key })
  }
  return keys
}
