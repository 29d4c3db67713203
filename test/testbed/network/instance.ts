import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { acquireFileLock } from '../file-lock.ts'
import { TestbedError } from '../testbed-error.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** What must be known of a running testbed to take it away, written down before anything of it is made. */
export interface Instance {
  /** Never used twice, so that taking one away can never hit another. */
  readonly id: string
  /** 0–255, unique among those that run: decides the uplink's network. */
  readonly number: number
  readonly owner: ProcessIdentity
  readonly tempDir: string
}

// Network namespaces belong to the boot, so their register is where a reboot clears it.
export const registerDir = '/run/mooring-testbed'
const namespacePrefix = 'mooring-'

/** The name in /run/netns of an instance's namespace. */
export function namespaceName(instance: Pick<Instance, 'id'>, member: string): string {
  return `${namespacePrefix}${instance.id}-${member}`
}

/** The name of the link in the root namespace; an interface name has at most 15 characters. */
export function uplinkName(instance: Pick<Instance, 'id' | 'number'>): string {
  return `mup${instance.number}-${instance.id.slice(-6)}`
}

/** Registers a new instance under the lowest free number. */
export async function claimInstance(request: {
  readonly name: string
  readonly owner: ProcessIdentity
  readonly tempRoot: string
  readonly signal?: AbortSignal | undefined
}): Promise<Instance> {
  const id = `${request.name}-${randomBytes(3).toString('hex')}`
  return underLock(request.signal, async () => {
    const taken = new Set((await listInstances()).map((instance) => instance.number))
    const number = lowestFree(taken, 255)
    if (number === undefined) throw new TestbedError('NO_FREE_INSTANCE')
    const instance: Instance = {
      id,
      number,
      owner: request.owner,
      tempDir: join(request.tempRoot, `mooring-testbed-${id}`),
    }
    const unfinished = join(registerDir, `.${id}`)
    await writeFile(unfinished, JSON.stringify(instance))
    await rename(unfinished, instanceFile(number))
    await mkdir(instance.tempDir)
    // The sidecar runs as uid 1337 and must get through, whatever the umask.
    await chmod(instance.tempDir, 0o755)
    return instance
  })
}

/** All registered instances, running or not. */
export async function listInstances(): Promise<readonly Instance[]> {
  const names = await readdir(registerDir).catch(() => [])
  const files = names.filter((name) => /^\d+\.json$/.test(name))
  const texts = await Promise.all(
    files.map((name) => readFile(join(registerDir, name), 'utf8').catch(() => undefined)),
  )
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as Instance]))
}

/** Frees the number, once nothing of the instance is left. */
export async function releaseInstance(instance: Instance): Promise<void> {
  await underLock(undefined, async () => {
    const registered = (await listInstances()).find((other) => other.number === instance.number)
    // Somebody else may have taken it away at the same time, and a third one taken the number since.
    if (registered?.id === instance.id) await rm(instanceFile(instance.number), { force: true })
  })
}

/** The smallest number from 0 to `last` that is not taken. */
export function lowestFree(taken: ReadonlySet<number>, last: number, first = 0): number | undefined {
  for (let number = first; number <= last; number++) if (!taken.has(number)) return number
  return undefined
}

function instanceFile(number: number): string {
  return join(registerDir, `${number}.json`)
}

async function underLock<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const lock = await acquireFileLock(join(registerDir, 'lock'), signal === undefined ? {} : { signal })
  try {
    return await work()
  } finally {
    await lock.release()
  }
}
