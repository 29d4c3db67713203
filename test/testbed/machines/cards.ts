import { existsSync } from 'node:fs'
import { mustRun, runCommand } from '../command.ts'
import { ipBatch } from '../network/ip.ts'
import { endProcesses } from '../network/namespace-processes.ts'
import type { Card } from './seed.ts'

/** The cables between a machine and the bridges. */
export interface Cables {
  /** The name of a card's port at the bridge. */
  port(card: Card): string
  linkDown(): Promise<void>
  linkUp(): Promise<void>
}

/** Handles the ports at the bridges, which are in the host's namespace. */
export function createCables(deps: {
  readonly hostNamespace: string
  readonly number: number
  readonly cards: readonly Card[]
}): Cables {
  const { hostNamespace, cards } = deps
  const port = (card: Card) => `${card.name}m${deps.number}`
  const setLinks = (state: 'up' | 'down') =>
    ipBatch(
      cards.map((card) => `link set ${port(card)} ${state}`),
      { namespace: hostNamespace },
    )
  return { port, linkDown: () => setLinks('down'), linkUp: () => setLinks('up') }
}

/** Makes a namespace with nothing in it but the cards, which the machine brings up itself. */
export async function plugIntoNamespace(deps: {
  readonly namespace: string
  readonly hostNamespace: string
  readonly cables: Cables
  readonly cards: readonly Card[]
}): Promise<void> {
  const { namespace, hostNamespace, cables, cards } = deps
  await unplugNamespace(deps)
  await mustRun('ip', ['netns', 'add', namespace])
  await ipBatch(
    cards.flatMap((card) => [
      `link add ${cables.port(card)} type veth peer name ${card.name} address ${card.mac} netns ${namespace}`,
      `link set ${cables.port(card)} master ${card.bridge} up`,
    ]),
    { namespace: hostNamespace },
  )
}

/** Ends what is left in the namespace, and takes it and the ports away. */
export async function unplugNamespace(deps: {
  readonly namespace: string
  readonly hostNamespace: string
  readonly cables: Cables
  readonly cards: readonly Card[]
}): Promise<void> {
  const { namespace, hostNamespace, cables, cards } = deps
  if (!existsSync(`/run/netns/${namespace}`)) return
  await endProcesses(namespace, 0)
  // By themselves they would go with the namespace, but only some time later.
  for (const card of cards) await runCommand('ip', ['-n', hostNamespace, 'link', 'del', cables.port(card)])
  await runCommand('ip', ['netns', 'del', namespace])
}
