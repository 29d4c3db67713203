/** The networks of a testbed. Instances repeat the VMs' networks, since each has its own host; uplinks are unique. */
export const networks = {
  /** Where VMs join and, unless they have a second card, serve. */
  brm: { host: '10.77.0.1', host6: 'fd77::1', prefix: 24, prefix6: 64 },
  /** A second network, for VMs that join over one and serve on another. */
  brs: { host: '10.79.0.1', host6: 'fd79::1', prefix: 24, prefix6: 64 },
} as const

export type Bridge = keyof typeof networks

export const lastVmIndex = 244

/** The IPv4 address of the VM with this index, from .10 on. */
export function vmAddress(bridge: Bridge, index: number): string {
  return networks[bridge].host.replace(/\.1$/, `.${10 + index}`)
}

/** The IPv6 address beside an IPv4 one: both end in the same number, as a person reads it. */
export function vmAddress6(bridge: Bridge, address: string): string {
  return networks[bridge].host6.replace(/::1$/, `::${address.split('.').at(-1)}`)
}

/** Both ends of the link between the root namespace and the instance's host. */
export function uplinkAddresses(number: number): { outside: string; inside: string; prefix: number } {
  return { outside: `10.78.${number}.1`, inside: `10.78.${number}.2`, prefix: 30 }
}

/** A fixed hardware address: a bridge without one takes that of a port, and changes it when VMs come and go. */
export function bridgeHardwareAddress(bridge: Bridge): string {
  return bridge === 'brm' ? '02:77:00:00:00:01' : '02:79:00:00:00:01'
}
