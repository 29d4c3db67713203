import { BlockList, isIP, SocketAddress } from 'node:net'
import type { Nic } from '../../shared/api/join.ts'
import type { PoolSpec } from '../../shared/api/operator.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'

// RFC 6890 and its successors: addresses that are never those of one machine among others.
const unusable = blocks([
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
])

/** One spelling per address: IPv4 in IPv6 clothes (`::ffff:10.0.0.1`) becomes IPv4, zones and zeros go. */
export function canonicalAddress(text: string): string | undefined {
  const bare = text.replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1]
  if (mapped !== undefined) return isIP(mapped) === 4 ? mapped : undefined
  const family = isIP(bare)
  if (family === 4) return bare
  if (family !== 6) return undefined
  const address = new SocketAddress({ address: bare, family: 'ipv6' }).address
  return /^::ffff:\d/.test(address) ? canonicalAddress(address) : address
}

/** Whether `text` is an address with a prefix length that fits it. */
export function isCidr(text: string): boolean {
  const [address = '', prefix = '', rest] = text.split('/')
  const family = isIP(address)
  if (rest !== undefined || family === 0 || !/^\d{1,3}$/.test(prefix)) return false
  return Number(prefix) <= (family === 4 ? 32 : 128)
}

/** Whether a canonical address lies in one of `cidrs`; what is no CIDR contains nothing. */
export function isInside(address: string, cidrs: readonly string[]): boolean {
  return contains(blocks(cidrs), address)
}

/** Loopback, link-local, multicast, unspecified: an address that names nobody to others. */
export function isUnusable(address: string): boolean {
  return contains(unusable, address)
}

export type AddressChoice =
  | { readonly address: string }
  | { readonly code: ErrorCode; readonly detail: string }

export interface AddressQuestion {
  readonly spec: Pick<PoolSpec, 'join' | 'address'>
  /** Canonical address of the other end of the TLS connection. */
  readonly peer: string
  /** What the joiner says of itself. */
  readonly nics: readonly Nic[]
}

/**
 * Which address is the workload's. Without a rule it is the one that the connection shows. With a rule the
 * joiner's word is taken, within the rule's CIDR, or where it has none within those that may join.
 */
export function chooseAddress(question: AddressQuestion): AddressChoice {
  const { spec, peer, nics } = question
  const rule = spec.address
  if (rule?.interface === undefined && rule?.cidr === undefined) {
    if (!isUnusable(peer)) return { address: peer }
    return { code: 'ADDRESS_NOT_ALLOWED', detail: `${peer} cannot be the address of a workload` }
  }
  const within = rule.cidr === undefined ? spec.join.cidrs : [rule.cidr]
  const candidates = new Set<string>()
  for (const nic of nics) {
    const address = canonicalAddress(nic.address)
    if (address === undefined || isUnusable(address) || !isInside(address, within)) continue
    if (rule.interface === undefined || nic.interface === rule.interface) candidates.add(address)
  }
  const [first, ...others] = candidates
  if (first !== undefined && others.length === 0) return { address: first }
  // Of several that fit, the one it connects from is not only claimed.
  if (candidates.has(peer)) return { address: peer }
  const wanted = [rule.interface && `on ${rule.interface}`, `inside ${within.join(', ')}`]
    .filter(Boolean)
    .join(' ')
  const said = nics.map((nic) => `${nic.interface} ${nic.address}`).join(', ')
  return {
    code: 'ADDRESS_NOT_CHOSEN',
    detail:
      first === undefined
        ? `none is ${wanted}; it has ${said || 'none'}`
        : `several are ${wanted}: ${[...candidates].join(', ')}`,
  }
}

interface Blocks {
  readonly ipv4: BlockList
  readonly ipv6: BlockList
}

/** One list per family: in a common one `::/0` would hold all of IPv4 too, as mapped addresses. */
function blocks(cidrs: readonly string[]): Blocks {
  const lists: Blocks = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const cidr of cidrs) {
    if (!isCidr(cidr)) continue
    const [address = '', prefix] = cidr.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    lists[family].addSubnet(address, Number(prefix), family)
  }
  return lists
}

function contains(lists: Blocks, address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return lists.ipv4.check(address, 'ipv4')
    case 6:
      return lists.ipv6.check(address, 'ipv6')
    default:
      return false
  }
}
