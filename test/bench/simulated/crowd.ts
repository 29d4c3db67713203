import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Health } from '../../../shared/api/stream.ts'
import type { Namespace } from '../../testbed/network/namespace.ts'
import type { JoinOutcome, Member, Order, Saying } from './orders.ts'

/** Many simulated agents in a few processes. */
export interface Crowd {
  /** All of them join, so many at once; `joined` is told how many have. */
  join(options: {
    readonly atOnce: number
    readonly open: boolean
    readonly joined?: (count: number) => void
  }): Promise<readonly JoinOutcome[]>
  /** One says how it is; resolves with when it did, in milliseconds of the monotonic clock. */
  status(index: number, health: Health): Promise<number>
  /** How many streams are open, and how many were cut since the start. */
  count(): Promise<{ readonly open: number; readonly cuts: number }>
  close(): Promise<void>
}

export interface CrowdDeps {
  /** Where the processes run: the members' addresses must be there. */
  readonly namespace: Pick<Namespace, 'spawn'>
  readonly url: string
  readonly ca: string
  readonly members: readonly Member[]
}

type Said<K extends Saying['said']> = Extract<Saying, { said: K }>

const program = fileURLToPath(new URL('./worker.ts', import.meta.url))
/** Far below what a process may have open. */
const perWorker = 2_500

/** Starts the processes and makes everybody's key. */
export async function createCrowd({ namespace, url, ca, members }: CrowdDeps): Promise<Crowd> {
  // Two at least: the processor that the controller leaves free is to be used.
  const count = Math.max(2, Math.ceil(members.length / perWorker))
  const workers = Array.from({ length: count }, (_, number) => ({
    ...startWorker(namespace),
    members: members.filter(({ index }) => index % count === number),
  }))
  const tell = (index: number) => workers[index % count] as (typeof workers)[number]
  await Promise.all(
    workers.map((worker) => worker.ask({ order: 'prepare', url, ca, members: worker.members }, 'prepared')),
  )

  return {
    async join({ atOnce, open, joined = () => {} }) {
      const counts = new Map<number, number>()
      const each = Math.max(1, Math.round(atOnce / count))
      const answers = await Promise.all(
        workers.map((worker, number) => {
          worker.onProgress((count) => {
            counts.set(number, count)
            joined([...counts.values()].reduce((sum, one) => sum + one, 0))
          })
          return worker.ask({ order: 'join', atOnce: each, open }, 'joined')
        }),
      )
      return answers.flatMap(({ joins }) => joins)
    },
    status: async (index, health) => (await tell(index).ask({ order: 'status', index, health }, 'sent')).at,
    async count() {
      const answers = await Promise.all(workers.map((worker) => worker.ask({ order: 'count' }, 'counted')))
      return {
        open: answers.reduce((sum, { open }) => sum + open, 0),
        cuts: answers.reduce((sum, { cuts }) => sum + cuts, 0),
      }
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.end()))
    },
  }
}

function startWorker(namespace: Pick<Namespace, 'spawn'>) {
  const child: ChildProcess = namespace.spawn(process.execPath, [program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting: { said: Saying['said']; found: (saying: Saying) => void; failed: (error: Error) => void }[] =
    []
  let onProgress: (joined: number) => void = () => {}
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  // A worker that is gone is heard of by who waits for it.
  child.stdin?.on('error', () => {})
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const saying = JSON.parse(line) as Saying
    if (saying.said === 'progress') return onProgress(saying.joined)
    // Answers of one kind come in the order of their questions.
    const at = waiting.findIndex(({ said }) => said === saying.said)
    waiting.splice(at, 1)[0]?.found(saying)
  })
  void ended.then(() => {
    for (const { failed } of waiting) failed(new Error('a process of simulated agents ended'))
  })
  return {
    ask: <K extends Saying['said']>(order: Order, said: K): Promise<Said<K>> =>
      new Promise((resolve, reject) => {
        waiting.push({ said, found: (saying) => resolve(saying as Said<K>), failed: reject })
        child.stdin?.write(`${JSON.stringify(order)}\n`)
      }),
    onProgress(listener: (joined: number) => void) {
      onProgress = listener
    },
    async end() {
      child.stdin?.end()
      await ended
    },
  }
}
