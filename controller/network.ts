import { isIP } from 'node:net'
import { canonicalAddress, isUnusable } from './join/address.ts'

/** What the operator calls this controller, and what the machine is called. */
export interface HostsQuestion {
  /** Host names, addresses or `https://` URLs, most important first. */
  readonly advertise: readonly string[]
  readonly listenHost: string
  readonly hostname: string
  /** Addresses of this machine's network cards. */
  readonly addresses: readonly string[]
}

/** Names and addresses for the server certificate, the most important first; never a doubled one. */
export function controllerHosts(question: HostsQuestion): readonly string[] {
  const { advertise, listenHost, hostname, addresses } = question
  const isEverywhere = ['0.0.0.0', '::', '*'].includes(listenHost)
  const own = isEverywhere
    ? addresses.filter((address) => !isUnusable(canonicalAddress(address) ?? '::'))
    : [listenHost]
  const hosts = [
    ...advertise.map(bareHost),
    ...own,
    ...(isIP(hostname) === 0 ? [hostname] : []),
    'localhost',
    '127.0.0.1',
  ]
  return [...new Set(hosts.map((host) => canonicalAddress(host) ?? host.toLowerCase()))]
}

/** The host of `https://host:port/…`, `[addr]:port`, `host:port`, or of itself. */
export function bareHost(text: string): string {
  const rest = text.replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '')
  if (isIP(rest) !== 0) return rest
  return rest.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}

/** A host as it stands in a URL. */
export function urlHost(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}
