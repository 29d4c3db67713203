import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SidecarArtifact } from '../../../shared/api/bundle.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import { createMeshRoot } from '../../pki/mesh-root.ts'
import { writeAtomic } from '../../store/atomic-file.ts'
import type { Mesh } from '../mesh.ts'
import { refOf, rootNamespace } from '../objects.ts'
import { evictedAddresses } from './evictions.ts'
import { createGate } from './gate.ts'
import { createIssuer } from './issuer.ts'
import { createIstiod, type IstiodRun } from './istiod.ts'
import { type IstiodCommandInput, istiodArguments, istiodEnvironment } from './istiod-command.ts'
import { createIstiodView } from './istiod-view.ts'
import { type ConfigTree, meshConfig, proxyConfig } from './mesh-config.ts'
import { openObjectFolder } from './object-folder.ts'
import { createPidRecord } from './orphan.ts'
import { createRegistryWatch } from './registry-watch.ts'
import { type Refusal, reloadReport } from './reload-report.ts'
import { sentinel, sentinelRef } from './sentinel.ts'
import { loadSigningKeys } from './signing-key.ts'

export interface StandaloneMeshDeps {
  /** Holds everything of the mesh: keys, objects, istiod's log. One process at a time; absolute. */
  readonly folder: string
  /** pilot-discovery of Istio. */
  readonly istiodBinary: string
  /** Where sidecars reach istiod. */
  readonly gate: { readonly hosts: readonly string[]; readonly port: number }
  /** The same, as VMs are told. */
  readonly advertise: { readonly address: string; readonly port: number }
  readonly trustDomain: string
  readonly meshId: string
  readonly clusterId: string
  /** Name of the network that VMs are in unless their pool says another; may be empty. */
  readonly network: string
  /** Merged into istiod's MeshConfig. */
  readonly meshConfig: ConfigTree
  /** Merged into every sidecar's ProxyConfig. */
  readonly proxyConfig: ConfigTree
  readonly istiodEnvironment: Readonly<Record<string, string>>
  readonly sidecarEnvironment: Readonly<Record<string, string>>
  /** Life of workload certificates; istiod issues none that lives longer. */
  readonly certificateTtlSeconds: number
  readonly artifacts: () => readonly SidecarArtifact[]
  /** `<namespace>/<service account>` of every pool. */
  readonly declared: () => ReadonlySet<string>
  /** Where procfs is mounted. */
  readonly proc: string
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/** The name in istiod's certificate; sidecars check it, whatever address they dial. */
const istiodHost = 'istiod.istio-system.svc'
const folderLookMs = 10_000
/** An istiod that has not answered for so long hangs. */
const silentMs = 30_000
const retryMs = 500
const refusalMs = 500

/** The mesh of a controller that brings its own: files, an istiod behind a gate, and the issuer of its tokens. */
export async function createStandaloneMesh(deps: StandaloneMeshDeps): Promise<Mesh> {
  const { clock, log, trustDomain } = deps
  await access(deps.istiodBinary, constants.X_OK).catch((cause: unknown) => {
    throw new MooringError('ISTIOD_MISSING', { detail: deps.istiodBinary, cause })
  })
  const runFolder = join(deps.folder, 'run')
  await mkdir(runFolder, { recursive: true, mode: 0o700 })
  const root = await createMeshRoot({ folder: join(deps.folder, 'ca'), trustDomain, clock })
  const issuer = createIssuer({
    keys: await loadSigningKeys(join(deps.folder, 'issuer-key.pem')),
    trustDomain,
    declared: deps.declared,
    clock,
  })
  const folder = await openObjectFolder(join(deps.folder, 'objects'), clock)
  const gate = createGate({ ...deps.gate, log })
  const watch = createRegistryWatch({ folder, trustDomain, clock, log })
  const reloads = reloadReport()
  const meshConfigFile = join(deps.folder, 'mesh.yaml')
  let foreign: readonly { readonly file: string; readonly fault: string | undefined }[] = []
  let gateFault: string | undefined
  let served: () => void = () => {}
  const firstServed = new Promise<void>((resolve) => {
    served = resolve
  })

  const command = (): IstiodCommandInput => ({
    meshConfigFile,
    caFolder: root.istiodFolder,
    jwtRule: issuer.jwtRule(),
    host: istiodHost,
    clusterId: deps.clusterId,
    domain: 'cluster.local',
    rootNamespace,
    maxCertificateTtlSeconds: deps.certificateTtlSeconds,
    environment: deps.istiodEnvironment,
  })

  const istiod = createIstiod({
    binary: deps.istiodBinary,
    arguments: (ports) => istiodArguments(command(), ports),
    environment: () => istiodEnvironment(command()),
    folder: runFolder,
    logFile: join(deps.folder, 'istiod.log'),
    pidRecord: createPidRecord({ file: join(deps.folder, 'istiod.pid'), proc: deps.proc, clock }),
    clock,
    log,
    ...(deps.random && { random: deps.random }),
    before: async () => {
      await gate.close()
      await folder.hide()
      reloads.begin()
    },
    during: accompany,
    onLine: (line) => {
      const refusal = reloads.line(line)
      if (refusal !== undefined) void expel(refusal)
    },
  })

  /** Brings one istiod to where sidecars may talk to it, and watches over it until it ends. */
  async function accompany(run: IstiodRun): Promise<void> {
    const view = createIstiodView(run.ports.http)
    watch.look(view)
    try {
      await retrying(run, () => open(run))
      await retrying(run, () => follow(run))
    } finally {
      watch.look(undefined)
      await gate.close()
    }

    async function open({ ports, ended }: IstiodRun): Promise<void> {
      await answers(ended)
      await folder.show()
      await watch.settled(ended)
      await folder.put(sentinel(randomUUID()))
      await watch.taken(sentinelRef, ended)
      gate.deny(evictedAddresses(folder.written()))
      await gate.open(ports.secure)
      await root.served()
      gateFault = undefined
      log.info('gate opened', { objects: folder.written().length })
      served()
    }

    async function answers(ended: AbortSignal): Promise<void> {
      for (;;) {
        try {
          await view.registry(ended)
          return
        } catch (error) {
          ended.throwIfAborted()
          if (watch.silentFor() > silentMs) throw error
          await clock.sleep(25, ended)
        }
      }
    }
  }

  async function retrying(run: IstiodRun, action: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await action()
        return
      } catch (error) {
        if (run.ended.aborted) return
        gateFault = errorText(error)
        log.error('istiod is not served', { error: gateFault })
        if (watch.silentFor() > silentMs) istiod.restart()
        await clock.sleep(retryMs, run.ended).catch(() => undefined)
      }
    }
  }

  async function follow({ ended }: IstiodRun): Promise<void> {
    let lookedAt = 0
    for (;;) {
      await clock.sleep(await watch.check(ended), ended)
      if (watch.silentFor() > silentMs) {
        log.error('istiod does not answer and is started again')
        istiod.restart()
        return
      }
      if (clock.now() - lookedAt > folderLookMs) {
        lookedAt = clock.now()
        foreign = (await folder.look()).foreign
        if (await root.renew()) {
          log.info('istiod is started again for another certificate of its own', {})
          istiod.restart()
          return
        }
      }
    }
  }

  /** One object that istiod cannot take must not keep all others from it. */
  async function expel({ file, why }: Refusal): Promise<void> {
    try {
      const suspect = folder.suspect(file, why)
      // Time for one more reload: the file may have been replaced since istiod read it.
      await clock.sleep(refusalMs)
      if (suspect === undefined || reloads.rejected()?.file !== file) return
      if (await folder.expel(suspect, why)) {
        log.error('took out an object that istiod refuses', { ...refOf(suspect.object), why })
      }
    } catch (error) {
      log.error('a refused file cannot be taken out', { file, error: errorText(error) })
    }
  }

  return {
    async start(signal) {
      await root.renew()
      await issuer.listen()
      const content = meshConfig({
        trustDomain,
        rootNamespace,
        folder: folder.root,
        overrides: deps.meshConfig,
      })
      await writeAtomic(meshConfigFile, `${JSON.stringify(content, undefined, 2)}\n`, 0o600)
      foreign = (await folder.look()).foreign
      await istiod.start(signal)
      await new Promise<void>((resolve, reject) => {
        signal.throwIfAborted()
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        void firstServed.then(resolve)
      })
    },
    facts: () => ({
      trustDomain,
      meshId: deps.meshId,
      clusterId: deps.clusterId,
      network: deps.network,
      istiod: { host: istiodHost, ...deps.advertise },
      rootCertificates: root.rootCertificates,
      proxyConfig: proxyConfig(deps.proxyConfig),
      environment: deps.sidecarEnvironment,
      artifacts: deps.artifacts(),
      certificateTtlSeconds: deps.certificateTtlSeconds,
    }),
    async apply(object, signal) {
      signal.throwIfAborted()
      const changed = await folder.put(object)
      if (changed && object.kind === 'AuthorizationPolicy') gate.deny(evictedAddresses(folder.written()))
    },
    async remove(ref, signal) {
      signal.throwIfAborted()
      await folder.remove(ref)
      if (ref.kind === 'AuthorizationPolicy') gate.deny(evictedAddresses(folder.written()))
    },
    async list(signal) {
      signal.throwIfAborted()
      foreign = (await folder.look()).foreign
      return folder
        .written()
        .map(({ object }) => object)
        .filter((object) => refOf(object).namespace !== sentinelRef.namespace)
    },
    taken: (ref, signal) => watch.taken(ref, signal),
    mint: (request) => issuer.mint(request),
    health() {
      const { running, restarts, lastExit } = istiod.state()
      const unreadable = foreign.find(({ fault }) => fault !== undefined)
      const rejected = reloads.rejected() ?? (unreadable && { file: unreadable.file, why: unreadable.fault })
      const lag = watch.lag()
      return [
        {
          part: 'istiod',
          ok: running,
          detail: running ? `runs, ${restarts} restarts` : `does not run: ${lastExit ?? 'not started yet'}`,
        },
        {
          part: 'gate',
          ok: gate.isOpen(),
          detail: gate.isOpen()
            ? `open, ${gate.connections()} connections`
            : `closed: ${gateFault ?? 'istiod does not serve everything yet'}`,
        },
        {
          part: 'mesh objects',
          ok: rejected === undefined,
          detail:
            rejected === undefined
              ? foreign.map(({ file }) => `foreign file ${file}`).join(', ') || 'all readable'
              : `istiod stops at ${rejected.file}: ${rejected.why}`,
        },
        { part: 'registry', ok: lag === undefined, detail: lag ?? 'istiod serves what is written' },
      ]
    },
    async close() {
      await gate.end()
      await istiod.stop()
      await issuer.close()
    },
  }
}
