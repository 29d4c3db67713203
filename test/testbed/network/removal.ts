import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand } from '../command.ts'
import { removeNodeGroups } from '../kubernetes/control-groups.ts'
import { removeControlGroups } from '../machines/control-group.ts'
import { TestbedError } from '../testbed-error.ts'
import { type Instance, listInstances, namespaceName, releaseInstance, uplinkName } from './instance.ts'
import { endProcesses } from './namespace-processes.ts'
import { isRunning } from './process-identity.ts'

/**
 * Takes away everything of an instance: processes, namespaces, links, files, and last its place in the register.
 *
 * It finds what there is by name instead of by a list, so it also takes what a dead owner was just making; and it may
 * run twice at once (owner, reaper and a collector can meet): what is gone already is what was wanted.
 */
export async function removeInstance(instance: Instance, graceMs: number): Promise<void> {
  const names = await namespacesOf(instance)
  await Promise.all(names.map((name) => endProcesses(name, graceMs)))
  // By itself this would go with its namespace, but only some time later.
  await removeIfThere(['link', 'del', uplinkName(instance)], `/sys/class/net/${uplinkName(instance)}`)
  for (const name of names) await removeIfThere(['netns', 'del', name], `/run/netns/${name}`)
  // Only machines that boot have any.
  if (existsSync(join(instance.tempDir, 'machines')))
    await removeControlGroups(namespaceName(instance, 'machine-'))
  // Only a node of a cluster has any.
  if (existsSync(join(instance.tempDir, 'host/node'))) await removeNodeGroups(namespaceName(instance, 'node'))
  await rm(instance.tempDir, { recursive: true, force: true, maxRetries: 3 })
  await releaseInstance(instance)
}

/** Takes away the instances whose owner is gone, and returns them. */
export async function collectStale(): Promise<readonly Instance[]> {
  const collected: Instance[] = []
  for (const instance of await listInstances()) {
    if (await isRunning(instance.owner)) continue
    await removeInstance(instance, 0)
    collected.push(instance)
  }
  return collected
}

async function namespacesOf(instance: Instance): Promise<readonly string[]> {
  const all = await readdir('/run/netns').catch(() => [])
  return all.filter((name) => name.startsWith(namespaceName(instance, '')))
}

async function removeIfThere(args: readonly string[], path: string): Promise<void> {
  if (!existsSync(path)) return
  const result = await runCommand('ip', args)
  if (result.code !== 0 && existsSync(path))
    throw new TestbedError('COMMAND_FAILED', `ip ${args.join(' ')}: ${result.stderr.trim()}`)
}
