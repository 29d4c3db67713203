import { isIP } from 'node:net'
import { readBounded } from '../host/files.ts'

/** The name servers in `path`, usually /etc/resolv.conf; none when there is no such file. */
export async function readNameservers(path: string): Promise<readonly string[]> {
  return parseNameservers((await readBounded(path, 65536)) ?? '')
}

/** Addresses of the `nameserver` lines (resolv.conf(5)). */
export function parseNameservers(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter((address) => isIP(address.split('%')[0] ?? '') !== 0)
}
