import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Effects } from '../effects.ts'
import type { Envoy } from '../sidecar/envoy.ts'
import { begin, isQuiet, observe, type Quiet, type Sample } from './quiet.ts'

export interface DrainOptions {
  /** How long no new request must have come. */
  readonly quietMs: number
  /** Longest time for all of it. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
  readonly onProgress?: (progress: DrainProgress) => void
}

export interface DrainProgress {
  /** `settling`: requests still come. `finishing`: none comes any more, the open ones end. */
  readonly stage: 'settling' | 'finishing'
  readonly openRequests: number
  readonly openConnections: number
}

export interface DrainResult {
  /** `quiet`: nothing was open. `deadline`: it came first, and what is open will be cut. */
  readonly result: 'quiet' | 'deadline'
  readonly openRequests: number
  readonly openConnections: number
}

/** Waits until this VM serves nobody; its endpoint is closed before. */
export interface Drain {
  run(options: DrainOptions): Promise<DrainResult>
}

export interface DrainDeps {
  readonly envoy: Pick<Envoy, 'inbound' | 'drain'>
  readonly clock: Clock
  readonly log: Log
  readonly effects: Effects
}

const pollMs = 100
/** Envoy fails to answer this often in a row: it is gone, and with it all that was open. */
const patience = 5

/** Measures on this VM's own Envoy, whatever its peers claim. */
export function createDrain({ envoy, clock, log, effects }: DrainDeps): Drain {
  /** From here on every answer asks the peer to close its connection, which empties their pools. */
  const tellEnvoy = async (signal: AbortSignal): Promise<void> => {
    try {
      await effects.run('drain-started', () => envoy.drain(signal))
    } catch (error) {
      signal.throwIfAborted()
      log.warn('Envoy cannot be told to drain', { error: errorText(error) })
    }
  }

  const sample = async (signal: AbortSignal): Promise<Sample | undefined> => {
    try {
      return { ...(await envoy.inbound(signal)), at: clock.now() }
    } catch (error) {
      signal.throwIfAborted()
      log.warn('Envoy cannot be asked during the drain', { error: errorText(error) })
      return undefined
    }
  }

  return {
    async run({ quietMs, deadlineMs, signal, onProgress }) {
      const deadline = clock.now() + deadlineMs
      let stage: DrainProgress['stage'] = 'settling'
      let quiet: Quiet | undefined
      let failures = 0
      for (;;) {
        const next = await sample(signal)
        if (next === undefined) {
          failures += 1
          if (failures >= patience) return { result: 'quiet', ...open(undefined) }
        } else {
          failures = 0
          quiet = quiet === undefined ? begin(next) : observe(quiet, next)
          // Long requests do not hold this back: it is new ones that Envoy's drain would disturb.
          if (stage === 'settling' && next.at - quiet.since >= quietMs) {
            stage = 'finishing'
            await tellEnvoy(signal)
          }
          onProgress?.({ stage, ...open(next) })
          if (stage === 'finishing' && isQuiet(quiet, quietMs)) return { result: 'quiet', ...open(next) }
        }
        const left = deadline - clock.now()
        if (left <= 0) {
          if (stage === 'settling') await tellEnvoy(signal)
          return { result: 'deadline', ...open(quiet?.last) }
        }
        await clock.sleep(Math.min(pollMs, left), signal)
      }
    },
  }
}

function open(sample: Sample | undefined): Omit<DrainProgress, 'stage'> {
  return { openRequests: sample?.activeRequests ?? 0, openConnections: sample?.activeConnections ?? 0 }
}
