import { setTimeout as sleep } from 'node:timers/promises'
import type { VmView } from '../../shared/api/operator.ts'
import { events, hasEndpoint, next, type Phase, phases } from '../../shared/lifecycle.ts'
import type { Load } from '../world/load.ts'
import type { Operator } from '../world/operator.ts'
import type { EndpointEvent } from '../world/watch/peer.ts'
import { isExcused, type Window } from './windows.ts'

/** Looks all along at what must always hold, and remembers each time that it did not. */
export interface Watchman {
  /** What was found wrong, in words. */
  readonly complaints: readonly string[]
  /** Failed requests that a window explains. */
  readonly excused: number
  /** How often it looked. */
  readonly looks: number
  /** Transitions that the controller counted, as `from>to`. */
  readonly transitions: ReadonlySet<string>
  complain(text: string): void
  stop(): Promise<void>
}

export interface WatchmanDeps {
  readonly operator: Operator
  readonly load: Load
  /** What a peer's Envoy knows of the servers' endpoints. */
  readonly endpoints: readonly EndpointEvent[]
  readonly windows: readonly Window[]
  /** Fewest endpoints that the peer may know at any time. */
  readonly leastServers: number
  /** Called with each new complaint. */
  readonly onComplaint: (text: string) => void
}

const lookEveryMs = 250
/** `from>to` of every change that the table allows by one event: who first sees a VM's stream sees its status too. */
const allowed = new Set(
  phases.flatMap((from) =>
    events.flatMap((event) =>
      [next(from, event), next(next(from, 'connect'), event)].map((to) => `${from}>${to}`),
    ),
  ),
)

export function createWatchman(deps: WatchmanDeps): Watchman {
  const { operator, load, endpoints, windows, leastServers, onComplaint } = deps
  const complaints: string[] = []
  const transitions = new Set<string>()
  const phaseOf = new Map<string, Phase>()
  const open = new Set<string>()
  const stop = new AbortController()
  const cursor = { failures: 0, endpoints: 0 }
  let looks = 0
  let excused = 0
  let enough = false

  function complain(text: string): void {
    if (complaints.includes(text)) return
    complaints.push(text)
    onComplaint(text)
  }

  function judgeFailures(): void {
    for (; cursor.failures < load.failures.length; cursor.failures++) {
      const failure = load.failures[cursor.failures]
      if (failure === undefined) continue
      if (isExcused(failure, windows)) {
        excused++
        continue
      }
      const { protocol, code, detail, instance = 'nobody yet', requestBegunAt, time } = failure
      complain(
        `a ${protocol} request failed without need: ${code} ${detail}, answered by ${instance}, ` +
          `begun ${stamp(requestBegunAt)}, failed ${stamp(time)}`,
      )
    }
  }

  function judgeEndpoints(): void {
    for (; cursor.endpoints < endpoints.length; cursor.endpoints++) {
      const change = endpoints[cursor.endpoints]
      for (const address of change?.closed ?? []) open.delete(address)
      for (const address of change?.opened ?? []) open.add(address)
      // The first servers come one by one.
      enough ||= open.size >= leastServers
      if (enough && open.size < leastServers)
        complain(`a peer knows only ${open.size} servers: ${[...open].join(' ')}`)
    }
  }

  function judgeVms(vms: readonly VmView[]): void {
    for (const vm of vms) {
      const before = phaseOf.get(vm.id)
      if (before !== undefined && !reachable(before, vm.phase))
        complain(`${vm.id} went from ${before} to ${vm.phase}`)
      phaseOf.set(vm.id, vm.phase)
      const isOpen = vm.conditions.some(({ type, status }) => type === 'EndpointOpen' && status === 'True')
      if (isOpen && !hasEndpoint(vm.phase)) complain(`${vm.id} is ${vm.phase} and its endpoint is open`)
    }
    const addresses = vms.filter(({ phase }) => phase !== 'left').map(({ address }) => address)
    if (new Set(addresses).size < addresses.length)
      complain(`two VMs have one address: ${addresses.join(' ')}`)
  }

  function judgeTransitions(metrics: string): void {
    for (const [, from, to] of metrics.matchAll(/^mooring_transitions_total\{from="(\w+)",to="(\w+)"\}/gm)) {
      const change = `${from}>${to}`
      transitions.add(change)
      if (!allowed.has(change) && from !== 'none') complain(`the controller made ${change} of a VM`)
    }
  }

  async function watch(): Promise<void> {
    for (;;) {
      judgeFailures()
      judgeEndpoints()
      try {
        judgeVms(await operator.vms())
        judgeTransitions(await operator.metrics())
        looks++
      } catch {
        // The controller is one of those that are killed; its VMs are looked at when it is back.
      }
      if (stop.signal.aborted) return
      await sleep(lookEveryMs, undefined, { signal: stop.signal }).catch(() => {})
    }
  }
  const watching = watch()

  return {
    complaints,
    get excused() {
      return excused
    },
    get looks() {
      return looks
    },
    transitions,
    complain,
    async stop() {
      stop.abort()
      await watching
    },
  }
}

/** Whether one phase can follow another by any number of events: between two looks there may be several. */
export function reachable(from: Phase, to: Phase): boolean {
  const seen = new Set<Phase>([from])
  for (const phase of seen) for (const event of events) seen.add(next(phase, event))
  return seen.has(to)
}

function stamp(time: number): string {
  return new Date(time).toISOString().slice(11, 23)
}
