import { call } from '../../test/world/call.ts'
import type { Caller } from '../../test/world/caller.ts'
import { type Member, tail } from '../../test/world/member.ts'
import { waitFor } from '../../test/world/waiting.ts'
import { monotonicMs } from '../../test/world/watch/monotonic.ts'
import { watchAnswers } from '../../test/world/watch/peer.ts'
import { echo, type World } from '../../test/world/world.ts'
import type { BootFigures } from '../figures.ts'
import { booted, steps } from '../narration.ts'
import type { Stage } from '../stage.ts'

export interface Boot {
  readonly name: string
  readonly pool: 'servers' | 'clients'
  /** Who waits for its first answer; none for a VM that only calls. */
  readonly peer?: Caller
}

/** Boots one VM from an image with agent, configuration and token, and shows its way into the mesh. */
export async function bootScene(
  { stage, world }: { readonly stage: Stage; readonly world: World },
  { name, pool, peer }: Boot,
): Promise<{ member: Member; figures: BootFigures }> {
  const fetches = world.network.vms.length === 0
  const member = await world.prepare(name, pool)
  if (pool === 'servers') await applicationUp(member)
  const answers = peer && watchAnswers(peer, `http://${echo.host}:${echo.http}/`)

  const step = stage.start(steps.boot(name, pool))
  const [begun, begunWall] = [monotonicMs(), Date.now()]
  await member.startAgent()
  const first = answers?.first((event) => event.status === 200 && event.instance === name, {
    what: `the first answer of ${name}`,
  })
  // Whoever waits below gets the failure; here it must not end the process.
  first?.catch(() => {})
  const view = await waitFor(
    async () => {
      const seen = await member.view()
      step.at(seen.phase)
      return seen.conditions.some((c) => c.type === 'Ready' && c.status === 'True') && seen
    },
    { what: `${name} to be ready`, limitMs: 60_000, everyMs: 100, onTimeout: () => tail(member.agentLog) },
  )
  const firstAnswerMs = first && (await first).at - begun
  await answers?.stop()
  await world.bake(member)

  const conditions = Object.fromEntries(
    view.conditions.filter((c) => c.status === 'True').map((c) => [c.type, Math.max(0, c.since - begunWall)]),
  )
  const figures: BootFigures = {
    vm: name,
    readyMs: view.phaseSince - begunWall,
    ...(firstAnswerMs !== undefined && { firstAnswerMs: Math.round(firstAnswerMs) }),
    conditions,
  }
  step.done(booted(figures, fetches), { ms: firstAnswerMs ?? figures.readyMs })
  return { member, figures }
}

async function applicationUp(member: Member): Promise<void> {
  await member.startApp()
  await waitFor(async () => (await call(member.vm, `http://127.0.0.1:${echo.http}/health`)).status === 200, {
    what: `the application of ${member.name}`,
  })
}
