import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../shared/clock.ts'
import { MooringError } from '../shared/errors.ts'
import { silentLog } from '../shared/log.ts'
import { createOperators } from './auth/operators.ts'
import { backUp, restore } from './backup.ts'
import type { Command } from './cli.ts'
import { backUpCluster } from './cluster-backup.ts'
import { restoreCluster } from './cluster-restore.ts'
import type { Config } from './config.ts'
import { type ClusterAccess, type InCluster, openCluster } from './kubernetes/cluster-access.ts'
import { openClusterStore } from './kubernetes-mode.ts'
import { createAuthority } from './pki/authority.ts'
import { createAuthorityFolder } from './pki/authority-folder.ts'
import type { AuthorityKeep } from './pki/authority-keep.ts'
import { createAuthoritySecret } from './pki/authority-secret.ts'
import { createMountedCertificate } from './pki/mounted-certificate.ts'
import { finishRootRotation, rotateRoot } from './pki/root-rotation.ts'
import { finishRotation, rotateAuthority } from './pki/rotation.ts'
import { writeTrustFile } from './pki/trust-file.ts'
import { openDatabase } from './store/database.ts'
import type { ResourceStore } from './store/resource-store.ts'
import { createSqliteStore } from './store/sqlite.ts'

export interface CommandsDeps {
  readonly config: Config
  readonly inCluster: InCluster | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly version: string
  /** Standard streams; output is the command's result alone. */
  readonly input: Readable
  readonly output: Writable
}

/** The commands beside `run`: each does one thing to what the controller keeps, and ends. */
export type OneShot = Extract<
  Command,
  { name: 'enrol' | 'pin' | 'rotate-ca' | 'rotate-root' | 'backup' | 'restore' }
>

const withinMs = 30_000
/** A backup of a large fleet is read in pages. */
const backupWithinMs = 10 * 60_000

/** Runs one command. */
export async function runCommand(command: OneShot, deps: CommandsDeps): Promise<void> {
  switch (command.name) {
    case 'enrol':
      return enrol(command, deps)
    case 'pin':
      return pin(command, deps)
    case 'rotate-ca':
      return rotateCa(command, deps)
    case 'rotate-root':
      return rotateMeshRoot(command, deps)
    case 'backup':
      return backup(command.out, deps)
    case 'restore':
      return restoreFrom(command, deps)
  }
}

async function enrol(command: { readonly json: boolean }, deps: CommandsDeps): Promise<void> {
  await withStore(deps, async (store) => {
    const { code, expiresAt } = await createOperators({ store, clock: deps.clock }).newEnrolment()
    if (command.json) deps.output.write(`${JSON.stringify({ enrolment: code, expiresAt })}\n`)
    else deps.output.write(`enrolment ${code}\nuntil ${new Date(expiresAt).toISOString()}\n`)
  })
}

async function pin(command: { readonly json: boolean }, deps: CommandsDeps): Promise<void> {
  const { config, clock, random } = deps
  const { serverFolder } = config.certificates
  if (serverFolder !== '') {
    const mounted = await createMountedCertificate({ folder: serverFolder, clock, log: silentLog })
    return say(command, deps, { pin: mounted.pins().pin, caFile: join(serverFolder, 'ca.crt') })
  }
  await withKeep(deps, async (keep) => {
    // Where it is shared, the first replica makes it, and no command by the way.
    if (config.mesh.mode === 'kubernetes' && (await keep.read()) === undefined) {
      throw new MooringError('NOT_FOUND', { detail: `${keep.place}: it was never started` })
    }
    const authority = await createAuthority({ keep, clock, log: silentLog, random })
    const { pin, pinBefore, trusted } = authority
    const isFolder = config.mesh.mode === 'standalone'
    say(command, deps, {
      pin,
      ...(pinBefore && { pinBefore }),
      ...(isFolder
        ? { caFile: await writeTrustFile(join(config.dataDir, 'pki'), trusted) }
        : { caFile: `${keep.place} key ca.crt` }),
    })
  })
}

async function rotateCa(
  command: { readonly json: boolean; readonly finish: boolean },
  deps: CommandsDeps,
): Promise<void> {
  await withKeep(deps, async (keep, signal) => {
    const rotation = { keep, clock: deps.clock, signal }
    if (!command.finish) return say(command, deps, { ...(await rotateAuthority(rotation)) })
    await withStore(deps, async (store) => {
      say(command, deps, { ...(await finishRotation(rotation, await vmsIn(store))) })
    })
  })
}

async function rotateMeshRoot(
  command: { readonly json: boolean; readonly finish: boolean },
  deps: CommandsDeps,
): Promise<void> {
  const { config, clock } = deps
  if (config.mesh.mode === 'kubernetes') {
    throw new MooringError('CONFIG_INVALID', {
      detail:
        "the mesh's root is the cluster's: change it where istiod has it from (its Secret cacerts, or cert-manager); VMs are told of the new one by themselves",
    })
  }
  const rotation = {
    folder: join(config.dataDir, 'mesh', 'ca'),
    trustDomain: config.mesh.trustDomain,
    certificateTtlSeconds: config.certificates.workloadTtlSeconds,
    clock,
  }
  if (command.finish) return say(command, deps, { ...(await finishRootRotation(rotation)) })
  await withStore(deps, async (store) => {
    say(command, deps, { ...(await rotateRoot(rotation, await vmsIn(store))) })
  })
}

async function backup(out: string, deps: CommandsDeps): Promise<void> {
  const { config, clock, version, output } = deps
  const target = out === '-' ? output : resolve(out)
  if (config.mesh.mode === 'kubernetes') {
    await withCluster(deps, backupWithinMs, async (cluster, signal) => {
      await backUpCluster(target, { ...clusterBackup(deps, cluster), signal })
    })
  } else await backUp(target, { dataDir: config.dataDir, clock, version })
  if (out !== '-') output.write(`${out}: it holds keys; keep it as you keep them\n`)
}

async function restoreFrom(
  { file, force }: { readonly file: string; readonly force: boolean },
  deps: CommandsDeps,
): Promise<void> {
  const { config, input, output } = deps
  const { dataDir } = config
  const source = file === '-' ? input : file
  let setAside: string | undefined
  if (config.mesh.mode === 'kubernetes') {
    await withCluster(deps, backupWithinMs, async (cluster, signal) => {
      const asideFolder = file === '-' ? dataDir : resolve(file, '..')
      const restored = await restoreCluster(source, {
        ...clusterBackup(deps, cluster),
        ...{ signal, force, asideFolder },
      })
      setAside = restored.setAside
      output.write(`restored ${restored.objects} objects into the cluster\n`)
    })
  } else {
    setAside = (await restore(source, { dataDir, force })).setAside
    output.write(`restored into ${dataDir}\n`)
  }
  if (setAside !== undefined) output.write(`what was there is in ${setAside}\n`)
}

function clusterBackup({ config, clock, version }: CommandsDeps, cluster: ClusterAccess) {
  const { release } = config.mesh.kubernetes
  return { client: cluster.store, namespace: cluster.namespace, release, clock, version }
}

async function withKeep(
  deps: CommandsDeps,
  work: (keep: AuthorityKeep, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { config, clock, random } = deps
  if (config.mesh.mode === 'standalone') {
    return work(createAuthorityFolder(join(config.dataDir, 'pki')), new AbortController().signal)
  }
  await withCluster(deps, withinMs, ({ store: client, namespace }, signal) => {
    const { release } = config.mesh.kubernetes
    return work(createAuthoritySecret({ client, namespace, release, clock, log: silentLog, random }), signal)
  })
}

async function withCluster(
  deps: CommandsDeps,
  limitMs: number,
  work: (cluster: ClusterAccess, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { config, inCluster, clock } = deps
  const cluster = await openCluster({ ...config.mesh.kubernetes, inCluster, clock })
  try {
    await inTime(limitMs, (signal) => work(cluster, signal))
  } finally {
    cluster.close()
  }
}

async function withStore(deps: CommandsDeps, work: (store: ResourceStore) => Promise<void>): Promise<void> {
  const store = await storeOf(deps)
  try {
    await work(store)
  } finally {
    await store.close()
  }
}

async function storeOf(deps: CommandsDeps): Promise<ResourceStore> {
  const { config } = deps
  if (config.mesh.mode === 'standalone') {
    const database = openDatabase({ file: join(config.dataDir, 'controller.sqlite') })
    return createSqliteStore({ database, log: silentLog })
  }
  return inTime(withinMs, (signal) => openClusterStore({ ...deps, log: silentLog }, signal))
}

async function inTime<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const within = AbortSignal.timeout(limitMs)
  return work(within).catch((error: unknown) => {
    const isLate = within.aborted && !(error instanceof MooringError)
    throw isLate ? new MooringError('STORE_UNAVAILABLE', { detail: 'the API server', cause: error }) : error
  })
}

async function vmsIn(store: ResourceStore) {
  return (await store.list('vm')).map(({ value }) => value)
}

/** Names and values, a line each, or as JSON. */
function say(
  command: { readonly json: boolean },
  { output }: CommandsDeps,
  facts: Readonly<Record<string, string>>,
): void {
  const words: Readonly<Record<string, string>> = { caFile: 'ca', pinBefore: 'pin-before' }
  const lines = Object.entries(facts).map(([name, value]) => `${words[name] ?? name} ${value}\n`)
  output.write(command.json ? `${JSON.stringify(facts)}\n` : lines.join(''))
}
