import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { InstanceCount, LoadError, LoadProtocol, LoadSummary } from '../testbed/apps/load-report.ts'
import type { Caller } from './caller.ts'

const program = resolve(import.meta.dirname, '../testbed/apps/load-client.ts')

/** A load client at work in a VM or a pod. */
export interface Load {
  /** Resolves at the first request that was answered well. */
  readonly firstOk: Promise<void>
  /** Requests so far, from the last progress line. */
  progress(): LoadProgress
  /** Every request that failed so far, where that was asked for. */
  readonly failures: readonly FailedRequest[]
  /** Stops it; open requests finish and count. */
  stop(): Promise<LoadSummary>
}

export interface LoadProgress {
  readonly requests: number
  readonly failed: number
  /** Who answered, by the name of the VM. */
  readonly instances: Readonly<Record<string, InstanceCount>>
}

export interface FailedRequest extends LoadError {
  readonly protocol: LoadProtocol
  /** Unix milliseconds. */
  readonly requestBegunAt: number
}

export interface LoadOptions {
  readonly host: string
  readonly ports: Partial<Record<LoadProtocol, number>>
  /** Upper bound; `stop` ends it earlier. @defaultValue 300 */
  readonly seconds?: number
  /** Whether each failure is kept, with its times. @defaultValue false */
  readonly keepFailures?: boolean
  /** Further options of the load client, without the dashes. */
  readonly options?: Readonly<Record<string, string | number>>
}

/** Starts the load client in a VM. Its requests go through that VM's sidecar, where it has one. */
export function startLoad(vm: Caller, load: LoadOptions): Load {
  const flags = { ...load.ports, seconds: load.seconds ?? 300, 'progress-ms': 250, ...load.options }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  if (load.keepFailures === true) args.push('--failures')
  const child = vm.spawn(process.execPath, [program, '--host', load.host, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let progress: LoadProgress = { requests: 0, failed: 0, instances: {} }
  const failures: FailedRequest[] = []
  let succeeded: () => void = () => {}
  const firstOk = new Promise<void>((resolve) => {
    succeeded = resolve
  })
  const summary = new Promise<LoadSummary>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    lines.on('line', (line) => {
      const event = JSON.parse(line) as { event: string }
      if (event.event === 'first-ok') succeeded()
      if (event.event === 'progress') progress = event as unknown as LoadProgress
      if (event.event === 'failure') failures.push(event as unknown as FailedRequest)
      if (event.event === 'summary') resolve(event as unknown as LoadSummary)
    })
    lines.once('close', () => reject(new Error(`the load client in ${vm.name} ended without a summary`)))
  })
  // Whoever stops it gets the failure; nobody else must die of it.
  summary.catch(() => {})
  return {
    firstOk,
    progress: () => progress,
    failures,
    async stop() {
      child.stdin?.end()
      return summary
    },
  }
}

/** Failures of a load as text, for the message of a test. */
export function failuresOf(summary: Pick<LoadSummary, 'byProtocol' | 'startedAt'>): string {
  return Object.entries(summary.byProtocol)
    .filter(([, count]) => count.failed > 0)
    .map(([protocol, count]) => {
      const errors = count.errors.map(
        (e) => `${e.time - summary.startedAt} ms ${e.instance ?? '?'} ${e.code} ${e.detail}`,
      )
      return `${protocol}: ${count.failed} of ${count.requests}\n  ${errors.join('\n  ')}`
    })
    .join('\n')
}
