import type { VmView } from '../../../shared/api/operator.ts'
import type { Emulated } from '../../testbed/machines/machine.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { watchAnswers } from '../../world/watch/peer.ts'
import { echo, type World } from '../../world/world.ts'
import { viewOf } from './agent-image.ts'

/** A boot as it was seen from outside. */
export interface SeenBoot {
  /** Unix milliseconds. */
  readonly poweredOnAt: number
  /** Milliseconds since power-on until a peer's first 200. */
  readonly firstAnswerMs: number
  readonly view: VmView
}

// An emulated processor is tens of times slower than its machine, which may have other things to do.
const limitMs = 900_000

/** Powers a machine on, and waits until it has answered a peer. */
export async function bootToAnswer(world: World, caller: Member, vm: Emulated): Promise<SeenBoot> {
  const onTimeout = async () => {
    const rules = await vm.exec('iptables-save', []).catch(() => undefined)
    return `${vm.consoleLog.split('\n').slice(-40).join('\n')}\n${rules?.stdout ?? ''}`
  }
  const [poweredOnAt, since] = [Date.now(), monotonicMs()]
  await vm.powerOn()
  // Nobody asks before it has joined: the questions cost time that it needs itself.
  await waitFor(async () => (await viewOf(world, vm)) !== undefined, {
    ...{ what: `${vm.name} to join`, limitMs, onTimeout },
  })
  const answers = watchAnswers(caller.vm, `http://${echo.host}:${echo.http}/`)
  const first = await answers
    .first((event) => event.status === 200 && event.instance === vm.name, {
      ...{ what: `an answer of ${vm.name}`, limitMs },
    })
    .catch(async (cause: unknown) => {
      throw new Error(await onTimeout(), { cause })
    })
  await answers.stop()
  const view = await viewOf(world, vm)
  if (view === undefined) throw new Error(`${vm.name} is gone`)
  return { poweredOnAt, firstAnswerMs: first.at - since, view }
}
