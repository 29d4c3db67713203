import { networks, vmAddress, vmAddress6 } from '../network/addresses.ts'

/** What a platform hands to cloud-init. */
export interface Seed {
  /** Begins with `#cloud-config`, `#!` or `## template: jinja`. @defaultValue an empty configuration */
  readonly userData?: string
  readonly vendorData?: string
  /** Keys of the meta-data beside `instance-id` and `local-hostname`, for example pool settings. */
  readonly metaData?: Readonly<Record<string, unknown>>
  /** Another one makes cloud-init take the machine for a new one, a clone. @defaultValue the machine's name */
  readonly instanceId?: string
}

/** A network card as the platform knows it. */
export interface Card {
  /** Its name inside the machine. */
  readonly name: string
  readonly bridge: 'brm' | 'brs'
  readonly mac: string
  readonly address: string
  readonly address6: string
}

// Machines are at the far end of what `addVm` hands out from the other end.
const firstIndex = 200

/** How many machines one network takes. */
export const maxMachines = 45

/** The cards of the machine with this number: one on the mesh's network and, if wanted, one on the second network. */
export function cardsOf(number: number, secondNetwork: boolean): readonly Card[] {
  const bridges = secondNetwork ? (['brm', 'brs'] as const) : (['brm'] as const)
  return bridges.map((bridge, i) => {
    const address = vmAddress(bridge, firstIndex + number)
    const hex = number.toString(16).padStart(2, '0')
    const mac = `02:77:01:00:0${i}:${hex}`
    return { name: `eth${i}`, bridge, mac, address, address6: vmAddress6(bridge, address) }
  })
}

/** The files of cloud-init's NoCloud source; JSON is YAML too. */
export function seedFiles(
  name: string,
  cards: readonly Card[],
  seed: Seed = {},
): Readonly<Record<string, string>> {
  const metaData = { 'instance-id': seed.instanceId ?? name, 'local-hostname': name, ...seed.metaData }
  return {
    'meta-data': `${JSON.stringify(metaData, null, 2)}\n`,
    'user-data': seed.userData ?? '#cloud-config\n{}\n',
    ...(seed.vendorData === undefined ? {} : { 'vendor-data': seed.vendorData }),
    'network-config': `${JSON.stringify(networkConfig(cards), null, 2)}\n`,
  }
}

function networkConfig(cards: readonly Card[]) {
  const ethernets = cards.map(({ name, bridge, address, address6 }, i) => {
    const { host, host6, prefix, prefix6 } = networks[bridge]
    return [
      name,
      {
        addresses: [`${address}/${prefix}`, `${address6}/${prefix6}`],
        ...(i === 0 ? { gateway4: host, gateway6: host6 } : {}),
        'accept-ra': false,
      },
    ]
  })
  return { version: 2, ethernets: Object.fromEntries(ethernets) }
}
