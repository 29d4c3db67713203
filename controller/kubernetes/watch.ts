import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Client } from './client.ts'
import type { KubernetesObject, ResourceType, Scope } from './resource.ts'
import { fullName } from './resource.ts'
import { readEvents } from './watch-events.ts'
import { firstStep, nextStep, type WatchOutcome, type WatchStep } from './watch-plan.ts'

/** Told what is there, in order; calls are synchronous, so that nothing comes between. */
export interface WatchListener<T> {
  /** All that was there as of the version: whatever is older and not in it is gone. Comes first, and whenever the thread was lost. */
  replaced(items: readonly T[], resourceVersion: string): void
  /** Made or changed. */
  changed(item: T): void
  gone(item: T): void
}

export interface WatchDeps<T> {
  readonly client: Client
  readonly type: ResourceType
  readonly scope?: Scope
  readonly listener: WatchListener<T>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** So long may a stream say nothing before it counts as dead. @defaultValue 75 s: bookmarks come every minute */
  readonly silenceMs?: number
}

/** Follows all objects of a kind: list, then watch, for as long as it runs. */
export interface Watch {
  /** Until aborted; never gives up, whatever fails. */
  run(signal: AbortSignal): Promise<void>
  /** Resolves when the first list has been told. */
  readonly listed: Promise<void>
  health(): WatchHealth
}

export interface WatchHealth {
  readonly ok: boolean
  /** Unix milliseconds: as of when what was told is complete; 0 before the first list. */
  readonly asOf: number
  readonly detail: string
}

const streamSeconds = 300

export function createWatch<T extends KubernetesObject>(deps: WatchDeps<T>): Watch {
  const { client, type, scope = {}, listener, clock, random, silenceMs = 75_000 } = deps
  const log = deps.log.child({ resource: fullName(type) })
  const listed = Promise.withResolvers<void>()
  const backoff = createBackoff({ baseMs: 250, maxMs: 30_000, floorMs: 50, random })
  let health: WatchHealth = { ok: false, asOf: 0, detail: 'not listed yet' }

  async function list(signal: AbortSignal): Promise<WatchOutcome> {
    try {
      const { items, resourceVersion } = await client.list<T>(type, scope, { signal })
      listener.replaced(items, resourceVersion)
      health = { ok: true, asOf: clock.now(), detail: 'listed' }
      listed.resolve()
      return { was: 'listed', resourceVersion }
    } catch (error) {
      return failed(error, signal, undefined, false)
    }
  }

  async function watch(from: string, signal: AbortSignal): Promise<WatchOutcome> {
    let resourceVersion = from
    let heard = false
    let lastHeard = clock.now()
    const dead = new AbortController()
    const over = new AbortController()
    const watchdog = waitForSilence(() => lastHeard, over.signal).then(
      () => dead.abort(),
      () => {},
    )
    try {
      // Spread, so that the replicas' streams, and those of one replica, do not end together.
      const timeoutSeconds = Math.round(streamSeconds * (0.8 + 0.4 * random()))
      const lifetime = AbortSignal.any([signal, dead.signal])
      const body = await client.watch(type, scope, { resourceVersion, timeoutSeconds }, lifetime)
      if (body === 'expired') return { was: 'expired' }
      lastHeard = clock.now()
      health = { ok: true, asOf: lastHeard, detail: 'follows' }
      for await (const event of readEvents<T>(body, () => {
        lastHeard = clock.now()
      })) {
        if (event.type === 'ERROR') {
          if (event.code === 410) return { was: 'expired' }
          return failed(event.message, signal, resourceVersion, heard)
        }
        heard = true
        resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion
        if (event.type === 'DELETED') listener.gone(event.object)
        else if (event.type !== 'BOOKMARK') listener.changed(event.object)
        health = { ok: true, asOf: clock.now(), detail: 'follows' }
      }
      return { was: 'ended', resourceVersion, heard }
    } catch (error) {
      if (dead.signal.aborted && !signal.aborted) {
        // Where nothing changes there may be no bookmarks either; one that is dead fails when it is begun anew.
        log.debug('a watch fell silent and is begun anew', { silenceMs })
        return { was: 'silent', resourceVersion, heard }
      }
      return failed(error, signal, resourceVersion, heard)
    } finally {
      over.abort()
      await watchdog
    }
  }

  async function waitForSilence(lastHeard: () => number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const left = lastHeard() + silenceMs - clock.now()
      if (left <= 0) return
      await clock.sleep(left, signal)
    }
  }

  function failed(
    error: unknown,
    signal: AbortSignal,
    resourceVersion: string | undefined,
    heard: boolean,
  ): WatchOutcome {
    if (!signal.aborted) {
      const text = errorText(error)
      // Said once per fault, not once per attempt.
      if (health.ok || health.asOf === 0) log.warn('a watch is interrupted and tried again', { error: text })
      health = { ok: false, asOf: health.asOf, detail: text }
    }
    return { was: 'failed', resourceVersion, heard }
  }

  return {
    async run(signal) {
      for (let step: WatchStep = firstStep; !signal.aborted; ) {
        if (step.state.failures === 0) backoff.reset()
        if (step.pause) await clock.sleep(backoff.next(), signal).catch(() => {})
        if (signal.aborted) return
        const { resourceVersion } = step.state
        const outcome =
          step.do === 'list' || resourceVersion === undefined
            ? await list(signal)
            : await watch(resourceVersion, signal)
        step = nextStep(step.state, outcome)
      }
    },
    listed: listed.promise,
    health: () => health,
  }
}
