import type { SendDatagram } from './datagram.ts'
import type { Exec } from './exec.ts'
import { programFolders } from './programs.ts'

/** What a program tells systemd of itself (sd_notify(3)). Nothing happens when systemd did not start it. */
export interface Notify {
  ready(): void
  /** One line for people, as `systemctl status` shows it. */
  status(text: string): void
  stopping(): void
  /** The watchdog is kept quiet for another period. */
  alive(): void
  /** The current phase may take this much longer. Milliseconds from now. */
  extend(ms: number): void
}

export interface NotifyDeps {
  /** NOTIFY_SOCKET of the environment. */
  readonly socket: string | undefined
  /** Undefined where no datagram can be sent: then `systemd-notify` does it, 20 ms of a child instead of 0.1 ms. */
  readonly send: SendDatagram | undefined
  readonly exec: Exec
}

const timeoutMs = 5_000
const longestStatus = 300

export function createNotify({ socket, send, exec }: NotifyDeps): Notify {
  let queue: Promise<unknown> = Promise.resolve()

  const tell = (...assignments: readonly string[]) => {
    if (socket === undefined || socket === '') return
    if (send?.(assignments.join('\n'))) return
    const env = { PATH: programFolders.join(':'), LANG: 'C', NOTIFY_SOCKET: socket }
    // One after the other: what was said last must be what systemd hears last.
    queue = queue.then(() => exec('systemd-notify', assignments, { env, timeoutMs }))
  }

  return {
    ready: () => tell('READY=1'),
    // A line feed would begin another assignment.
    status: (text) => tell(`STATUS=${text.replace(/[\n\r\0]+/g, ' ').slice(0, longestStatus)}`),
    stopping: () => tell('STOPPING=1'),
    alive: () => tell('WATCHDOG=1'),
    extend: (ms) => tell(`EXTEND_TIMEOUT_USEC=${Math.round(ms * 1000)}`),
  }
}

/** How long systemd waits for a sign of life, from the environment; undefined when it does not wait for this process. */
export function watchdogMs(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const { WATCHDOG_USEC: period, WATCHDOG_PID: watched } = env
  const ms = Number(period) / 1000
  if (period === undefined || !Number.isFinite(ms) || ms <= 0) return undefined
  return watched === undefined || Number(watched) === pid ? ms : undefined
}
