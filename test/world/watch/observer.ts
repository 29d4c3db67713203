import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Vm } from '../../testbed/network/vm.ts'

/** What a program in a VM sees, line by line, kept to be asked about. Times are of the monotonic clock. */
export interface Observer<Event> {
  readonly events: readonly Event[]
  /** The first event, of those that were seen and those that come, that fits; rejects after `limitMs`. */
  first(fits: (event: Event) => boolean, options: ObserverWait): Promise<Event>
  stop(): Promise<void>
}

export interface ObserverWait {
  /** What is waited for, for the message of the failure. */
  readonly what: string
  readonly limitMs?: number
}

interface Waiting<Event> {
  readonly fits: (event: Event) => boolean
  readonly found: (event: Event) => void
  readonly failed: (error: Error) => void
}

const defaultLimitMs = 120_000

/** Starts a program of this folder in a VM and collects the JSON lines that it prints. */
export function createObserver<Event>(
  vm: Pick<Vm, 'name' | 'spawn'>,
  program: string,
  args: readonly string[],
): Observer<Event> {
  const child: ChildProcess = vm.spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const events: Event[] = []
  const waiting = new Set<Waiting<Event>>()
  let said = ''
  let ended: Error | undefined
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
  })
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const event = JSON.parse(line) as Event
    events.push(event)
    for (const one of waiting) if (one.fits(event)) one.found(event)
  })
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => {
      ended = new Error(`the observer in ${vm.name} ended: ${said}`)
      for (const one of waiting) one.failed(ended)
      resolve()
    })
  })

  return {
    events,
    first(fits, { what, limitMs = defaultLimitMs }) {
      const seen = events.find(fits)
      if (seen !== undefined) return Promise.resolve(seen)
      if (ended !== undefined) return Promise.reject(ended)
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(limit)
          waiting.delete(entry)
        }
        const entry: Waiting<Event> = {
          fits,
          found(event) {
            settle()
            resolve(event)
          },
          failed(error) {
            settle()
            reject(error)
          },
        }
        const limit = setTimeout(
          () => entry.failed(new Error(`waited ${limitMs} ms in vain for ${what}`)),
          limitMs,
        )
        waiting.add(entry)
      })
    },
    async stop() {
      child.kill('SIGTERM')
      await gone
    },
  }
}
