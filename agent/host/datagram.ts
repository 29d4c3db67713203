import { fstatSync, writeSync } from 'node:fs'

/** Sends one datagram; false when it was not taken, because the other side is full or gone. */
export type SendDatagram = (payload: string | Uint8Array) => boolean

/** Variables that name sockets which were opened before this program started. */
export const datagramVariables = { notify: 'MOORING_NOTIFY_FD', journal: 'MOORING_JOURNAL_FD' } as const

/** An environment without empty values, in which the variables name these sockets and no others. */
export function setEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  sockets: readonly (readonly [variable: string, socket: number | undefined])[],
): Record<string, string> {
  const all = { ...env, ...Object.fromEntries(sockets.map(([name, socket]) => [name, socket?.toString()])) }
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/** The socket that a variable names; undefined when there is none. */
export function inheritedDatagram(value: string | undefined): SendDatagram | undefined {
  const fd = Number(value)
  if (value === undefined || !Number.isInteger(fd) || fd < 3 || !isSocket(fd)) return undefined
  return (payload) => {
    try {
      // One write to a connected datagram socket is one datagram.
      if (typeof payload === 'string') writeSync(fd, payload)
      else writeSync(fd, payload)
      return true
    } catch {
      return false
    }
  }
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return false
  }
}
