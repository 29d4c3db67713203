import type { Clock } from '../../shared/clock.ts'
import { type CloneJudgement, judgeClone } from '../join/clone.ts'
import { createSuspicions } from '../join/suspicions.ts'
import type { Listening } from './listening.ts'

/** One end of a stream: where it comes from, and which boot of a machine it says it is. */
export interface StreamEnd {
  readonly address: string
  readonly bootId: string
}

/** Judges whether a new stream of a VM may take the place of one that is open. */
export interface Takeover {
  judge(vm: string, old: StreamEnd, newcomer: StreamEnd): CloneJudgement
}

export interface TakeoverDeps {
  readonly clock: Clock
  readonly lastHeard: (vm: string) => number
  readonly listening: Listening
  readonly heartbeatMs: (vm: string) => number
  /** A second machine is alive with the identity of this VM. */
  readonly cloned: (vm: string, newcomer: StreamEnd) => void
}

/** The same question as at a join: a copied state folder holds a certificate that needs no join for a day. */
export function createTakeover(deps: TakeoverDeps): Takeover {
  const { clock, listening, heartbeatMs, cloned } = deps
  const suspicions = createSuspicions()
  return {
    judge(vm, old, newcomer) {
      const now = clock.now()
      const lastHeard = deps.lastHeard(vm)
      const name = `${newcomer.address} ${newcomer.bootId}`
      const judgement = judgeClone({
        isSameMachine: old.address === newcomer.address && old.bootId === newcomer.bootId,
        connected: true,
        lastHeard,
        listenedMs: listening.since(lastHeard),
        heartbeatMs: heartbeatMs(vm),
        suspectedSince: suspicions.since(vm, name, now),
      })
      if (judgement === 'same') suspicions.forget(vm)
      if (judgement === 'wait') suspicions.note(vm, name, now)
      if (judgement === 'clone') cloned(vm, newcomer)
      return judgement
    },
  }
}
