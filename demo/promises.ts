import type { DemoFigures } from './figures.ts'

/** Something that the demo says will be so, and whether it was. */
export interface Promised {
  readonly promise: string
  readonly kept: boolean
}

/** Who the client is in the mesh, by its pool. */
export const clientIdentity = 'spiffe://cluster.local/ns/default/sa/caller'

/** A power cut is noticed after 5 s of silence; the peers hear of it within a second more. */
export const powerCutLimitMs = 6_000

/** Everything promised, judged by what was measured. What was not reached was not kept. */
export function judge(figures: DemoFigures): readonly Promised[] {
  const { boots, traffic, scaleIn, replacement, powerCut } = figures
  const isPod = figures.client === 'pod'
  const servers = boots.filter((boot) => boot.firstAnswerMs !== undefined)
  return [
    {
      promise: isPod
        ? 'two VMs join by themselves, and both answer a pod'
        : 'three VMs join by themselves, and both servers answer',
      kept:
        boots.length === (isPod ? 2 : 3) &&
        servers.length === 2 &&
        servers.every(({ vm }) => traffic?.answeredBy.includes(vm)),
    },
    { promise: 'the server knows who called, by mutual TLS', kept: traffic?.caller === clientIdentity },
    { promise: 'plain text is refused', kept: traffic?.plainText.refused === true },
    {
      promise: 'a VM is scaled in under load without a failed request',
      kept: scaleIn !== undefined && scaleIn.requests > 0 && scaleIn.failed === 0,
    },
    { promise: 'a replacement serves', kept: replacement?.firstAnswerMs !== undefined },
    {
      promise: 'a VM without power is closed to its peers within 6 s, and costs no request after that',
      kept:
        powerCut !== undefined && powerCut.closedMs <= powerCutLimitMs && powerCut.failedAfterClosed === 0,
    },
  ]
}
