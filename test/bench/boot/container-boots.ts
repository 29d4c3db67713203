import { createBox } from '../../e2e/boot/agent-image.ts'
import { agentSeed } from '../../e2e/boot/agent-seed.ts'
import type { Container, Image } from '../../testbed/machines/machine.ts'
import type { ProgressStep } from '../../testbed/progress.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { watchAnswers } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { measureFloor } from './floor.ts'
import { type Marks, marksOfLog } from './phases.ts'
import type { Stage } from './stage.ts'
import { unitTime } from './unit-time.ts'

/** One boot of a container, in milliseconds of the kernel's monotonic clock, which it shares with this machine. */
export interface ContainerBoot {
  readonly powerOn: number
  /** Its systemd began. */
  readonly systemd: number
  readonly marks: Marks
  /** Starts of a unit that does nothing, on the same machine right after. */
  readonly floorMs: readonly number[]
}

/** Boots `n` machines of an image, one after the other, each new. */
export async function bootContainers(
  stage: Stage,
  kind: { readonly name: string; readonly image: Image },
  n: number,
  step: ProgressStep,
): Promise<ContainerBoot[]> {
  const { world, caller } = stage
  const answers = watchAnswers(caller.vm, `http://${echo.host}:${echo.http}/`)
  const boots: ContainerBoot[] = []
  for (let i = 1; i <= n; i++) {
    step.at(`${i} of ${n}`)
    const name = `${kind.name}-${i}`
    const box = await createBox(world.network, name, kind.image, await agentSeed(world, 'servers'))
    // Nobody else is in the pool, and the one before has left.
    const powerOn = monotonicMs()
    await box.powerOn()
    const first = await answers.first((event) => event.status === 200 && event.begunAt > powerOn, {
      what: `the first answer of ${name}`,
      limitMs: 300_000,
    })
    await box.booted()
    const [systemd, unit] = await Promise.all([
      unitTime(box, 'UserspaceTimestampMonotonic'),
      unitTime(box, 'InactiveExitTimestampMonotonic', 'mooring-agent'),
    ])
    const open = await openedAt(stage, box)
    const marks = { ...marksOfLog(await agentLog(box)), unit, answered: first.at, ...(open && { open }) }
    boots.push({ powerOn, systemd, marks, floorMs: await measureFloor(box) })
    await box.powerOff()
    await box.destroy()
  }
  await answers.stop()
  return boots
}

async function agentLog(box: Container) {
  const text = await box.journal(['-o', 'json', '-u', 'mooring-agent'])
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { MESSAGE: string; __MONOTONIC_TIMESTAMP: string })
    .map(({ MESSAGE, __MONOTONIC_TIMESTAMP }) => ({
      ms: Number(__MONOTONIC_TIMESTAMP) / 1000,
      message: MESSAGE,
    }))
}

/** When the controller opened the endpoint; its clock is this machine's, of the other kind. */
async function openedAt({ world }: Stage, box: Container): Promise<number | undefined> {
  const vms = await world.operator.vms('servers')
  const view = vms.find(({ address, phase }) => address === box.address && phase !== 'left')
  const open = view?.conditions.find(({ type, status }) => type === 'EndpointOpen' && status === 'True')
  return open === undefined ? undefined : open.since - Date.now() + monotonicMs()
}
