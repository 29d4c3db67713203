import { randomBytes } from 'node:crypto'
import { link, mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MooringError } from '../../shared/errors.ts'
import { asStorageFault, hasErrno, readBounded } from './files.ts'

/**
 * Who holds the lock: a pid is used again, a pid with its start time is not until the next boot. The boot's id alone
 * does not tell a boot: a container's manager shows another one than a unit with a `/proc/sys` of its own sees.
 */
interface Holder {
  readonly pid: number
  readonly startTime: number
  readonly bootId: string
}

export interface LockDeps {
  readonly path: string
  readonly pid: number
  readonly processes: {
    find(pid: number): Promise<{ readonly startTime: number } | undefined>
    /** Which file a process runs; undefined where that cannot be seen. */
    program(pid: number): Promise<string | undefined>
    bootId(): Promise<string>
  }
}

const tries = 100
const pauseMs = 10
/** Taking over takes a millisecond: a guard of this age was left by a killed process. */
const guardMs = 10_000

/**
 * Takes the lock of a state folder and returns how to give it back. Throws `ALREADY_RUNNING` while another
 * process lives that has it; the lock of a dead one is taken over.
 */
export async function takeLock({ path, pid, processes }: LockDeps): Promise<() => Promise<void>> {
  const bootId = await processes.bootId()
  const self = await processes.find(pid)
  const mine = JSON.stringify({ pid, startTime: self?.startTime ?? 0, bootId } satisfies Holder)
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o711 })
    // A link appears with its content or not at all: nobody reads a lock that is half written.
    await writeFile(temporary, mine, { mode: 0o600 })
  } catch (error) {
    throw asStorageFault(error, dirname(path))
  }
  try {
    for (let n = 0; n < tries; n += 1) {
      if (await linked(temporary, path)) return () => release(path, mine)
      const text = await readBounded(path, 1024)
      if (text === undefined) continue
      const holder = parse(text)
      if (holder !== undefined && (await isAlive(holder))) {
        throw new MooringError('ALREADY_RUNNING', { detail: `process ${holder.pid}` })
      }
      await removeStale(path, text, temporary)
    }
    throw new MooringError('ALREADY_RUNNING', { detail: `${path} changes hands all the time` })
  } finally {
    await rm(temporary, { force: true })
  }

  async function isAlive(holder: Holder): Promise<boolean> {
    const found = await processes.find(holder.pid)
    if (found === undefined || found.startTime !== holder.startTime) return false
    if (holder.bootId === bootId) return true
    // Machines of one image boot alike: this process may well have the pid and the start time of the one before.
    if (holder.pid === pid) return false
    const program = await processes.program(holder.pid)
    return program !== undefined && program === (await processes.program(pid))
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return false
    throw error
  }
}

/**
 * Removes the lock if it still is `stale`. One at a time: between reading and removing, another may have taken
 * it over. `reference` is a file made just now, by which the age of what a killed process left is told.
 */
async function removeStale(path: string, stale: string, reference: string): Promise<void> {
  const guard = `${path}.takeover`
  try {
    await mkdir(guard)
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error
    await delay(pauseMs)
    const [made, now] = await Promise.all([modifiedAt(guard), modifiedAt(reference)])
    if (now - made > guardMs) await rmdir(guard).catch(() => {})
    return
  }
  try {
    if ((await readBounded(path, 1024)) === stale) await rm(path)
  } finally {
    await rmdir(guard)
  }
}

async function modifiedAt(path: string): Promise<number> {
  const info = await stat(path).catch(() => undefined)
  return info?.mtimeMs ?? Number.POSITIVE_INFINITY
}

async function release(path: string, mine: string): Promise<void> {
  if ((await readBounded(path, 1024)) === mine) await rm(path, { force: true })
}

function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { pid, startTime, bootId } = value as Partial<Holder>
    return typeof pid === 'number' && typeof startTime === 'number' && typeof bootId === 'string'
      ? { pid, startTime, bootId }
      : undefined
  } catch {
    return undefined
  }
}
