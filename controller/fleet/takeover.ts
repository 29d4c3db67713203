import type { Clock } from '../../shared/clock.ts'
import { type CloneJudgement, judgeClone } from '../join/clone.ts'
import { createSuspicions } from '../join/suspicions.ts'
import type { Listening } from './listening.ts'

/** One end of a stream: where it comes from, and which boot of a machine it says it is. */
export interface StreamEnd {
  readonly address: string
  readonly bootId: string
}

/** A stream that another replica holds, as far as is known here. */
export interface RemoteStream {
  readonly bootId: string
  readonly lastHeard: number
}

/** Judges whether a new stream of a VM may take the place of one that is open. */
export interface Takeover {
  /** `old`: what is open here, if something is; else what other replicas have counts. */
  judge(vm: string, old: StreamEnd | undefined, newcomer: StreamEnd): CloneJudgement
}

export interface TakeoverDeps {
  readonly clock: Clock
  readonly lastHeard: (vm: string) => number
  readonly listening: Listening
  readonly heartbeatMs: (vm: string) => number
  /** The stream of this VM that is open elsewhere. @defaultValue there is none */
  readonly elsewhere?: (vm: string) => RemoteStream | undefined
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
      const remote = old === undefined ? deps.elsewhere?.(vm) : undefined
      const lastHeard = remote?.lastHeard ?? deps.lastHeard(vm)
      const name = `${newcomer.address} ${newcomer.bootId}`
      const judgement = judgeClone({
        isSameMachine:
          (remote ?? old)?.bootId === newcomer.bootId &&
          (old === undefined || old.address === newcomer.address),
        connected: old !== undefined || remote !== undefined,
        lastHeard,
        // The other replica listens, and takes the VM for connected no longer than it hears it.
        listenedMs: remote === undefined ? listening.since(lastHeard) : 0,
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
