import {
  type InjectedVm,
  type InjectionCreate,
  type InjectionStep,
  injectionSteps,
} from '../../../shared/api/injection.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Audit } from '../../audit.ts'
import type { ResourceStore } from '../../store/resource-store.ts'
import { type AgentFilesDeps, createAgentFiles } from './agent-files.ts'
import { type CredentialConfig, createCredentials } from './credentials.ts'
import { type InjectionSettings, type InjectionWork, inject, type Progress, remove } from './injection.ts'
import { type Machine, openMachine } from './machine.ts'
import { createMembership } from './membership.ts'
import { createPinnedHosts } from './pinned-hosts.ts'
import { createPlaces } from './places.ts'
import { openRemote, type Remote } from './remote.ts'

export interface InjectorDeps {
  readonly store: ResourceStore
  /** What agents are told of the controller. */
  readonly controller: () => { readonly url: string; readonly pin: string }
  readonly files: AgentFilesDeps
  readonly credentials: readonly CredentialConfig[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Of the keys that were taken at first sight. */
  readonly pinnedFile: string
  /** How many machines are worked on at a time, by all requests together. */
  readonly parallel: number
  readonly settings: InjectionSettings & {
    /** How long a machine may take until it answers at all, in milliseconds. */
    readonly reachMs: number
  }
  readonly audit: Pick<Audit, 'record'>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/** What an operator, or an orchestrator's adapter, asks for. */
export interface InjectionRequest extends InjectionCreate {
  /** `operator:<name>`, for the records. */
  readonly by: string
}

/** Makes machines without an agent VMs of a pool, by SSH, and undoes it. */
export interface Injector {
  /** Throws what stands against the request as a whole, before any machine is touched. */
  check(request: InjectionRequest): Promise<void>
  /**
   * Works on all machines, and never throws: what became of each is in the views, which `changed` is shown too. Asked
   * again, it does what is left to do.
   */
  run(
    request: InjectionRequest,
    changed: (vms: readonly InjectedVm[]) => void,
    signal: AbortSignal,
  ): Promise<readonly InjectedVm[]>
}

/** In a row, without a further byte having arrived in between. */
const mostReconnects = 8
/** From here on something on the machine is otherwise than before. */
const touching: readonly InjectionStep[] = ['uploading', 'installing', 'joining', 'starting']

export function createInjector(deps: InjectorDeps): Injector {
  const { store, clock, log, random, audit, settings } = deps
  const credentials = createCredentials({ list: deps.credentials, environment: deps.environment })
  const pinned = createPinnedHosts({ file: deps.pinnedFile })
  const membership = createMembership({ store, clock, random })
  const parts = { files: createAgentFiles(deps.files), membership, settings }
  const places = createPlaces(deps.parallel)
  const busy = new Set<string>()

  async function poolOf(name: string): Promise<PoolSpec> {
    const pool = await store.get('pool', name)
    if (pool === undefined) throw new MooringError('NOT_FOUND', { detail: `pool ${name}` })
    return pool.value.spec
  }

  /** One machine, from the first connection to the end, however often the connection is cut. */
  async function work(
    request: InjectionRequest,
    target: InjectionCreate['targets'][number],
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const spec = await poolOf(request.pool)
    const invitation: InjectionWork['invitation'] = {}
    const pause = createBackoff({ baseMs: 500, maxMs: 10_000, floorMs: 200, random })
    const deadline = clock.now() + settings.reachMs
    const seen = { step: 'waiting' as InjectionStep, bytes: 0, met: false, reconnects: 0 }
    const told: Progress = (part) => {
      seen.step = part.step ?? seen.step
      if (part.sent !== undefined && part.sent.bytes > seen.bytes) {
        seen.bytes = part.sent.bytes
        pause.reset()
      }
      progress(part)
    }

    for (;;) {
      let machine: Machine | undefined
      let remote: Remote | undefined
      try {
        if (!touching.includes(seen.step)) told({ step: 'connecting' })
        machine = await openMachine(
          { request, spec, target, signal },
          { credentials, pinned, onPin: (name, key) => recordPin(request, name, key) },
        )
        seen.met = true
        told({ hostKey: machine.hostKey, ...(machine.pinned && { pinned: true }) })
        const { connection, login } = machine
        remote = await openRemote({ name: target.host, connection, password: login.password, signal })
        const order = { ...deps.controller(), pool: request.pool, by: request.by }
        const one: InjectionWork = { remote, order, invitation, progress: told, signal }
        return await (request.action === 'remove' ? remove(one) : inject(one, parts))
      } catch (error) {
        if (signal.aborted) throw signal.reason
        const again =
          isMooringError(error, 'SSH_CUT') ||
          (isMooringError(error, 'SSH_UNREACHABLE') && (seen.met || clock.now() < deadline))
        if (!again || (seen.met && pause.attempts >= mostReconnects)) {
          await giveUp(seen.step, remote, invitation, progress)
          throw error
        }
        if (seen.met) {
          seen.reconnects += 1
          log.info('connection to a machine was cut', { host: target.host, step: seen.step })
        }
        await clock.sleep(pause.next(), signal)
        progress({ reconnects: seen.reconnects })
      } finally {
        machine?.close()
      }
    }
  }

  /** The machine is left as it was, if it can be reached. */
  async function giveUp(
    step: InjectionStep,
    remote: Remote | undefined,
    { current }: InjectionWork['invitation'],
    progress: Progress,
  ): Promise<void> {
    try {
      if (touching.includes(step)) {
        progress({ step: 'undoing' })
        await remote?.undo()
        progress({ undone: remote !== undefined })
      }
    } catch (error) {
      log.warn('what was begun on a machine could not be taken back', { error: errorText(error) })
      progress({ undone: false })
    } finally {
      if (current !== undefined) await membership.withdraw(current)
    }
  }

  async function recordPin(request: InjectionRequest, name: string, key: string): Promise<void> {
    log.warn('key of a host taken at first sight', { host: name, fingerprint: key })
    await audit.record({
      ...{ actor: request.by, action: 'ssh.pin', target: `host/${name}`, outcome: 'done' },
      detail: `${key}, pool ${request.pool}`,
    })
  }

  async function recordEnd(request: InjectionRequest, vm: InjectedVm): Promise<void> {
    const { host, code, detail } = vm
    const action = request.action === 'remove' ? 'vm.uninject' : 'vm.inject'
    const entry = { actor: request.by, action, target: `host/${host}` }
    if (code === undefined) {
      await audit.record({ ...entry, outcome: 'done', detail: `pool ${request.pool}, vm ${vm.vm ?? 'none'}` })
    } else {
      await audit.record({ ...entry, outcome: 'denied', code, ...(detail !== undefined && { detail }) })
    }
  }

  return {
    async check(request) {
      const { pool, credential, jump } = request
      await poolOf(pool)
      credentials.find(credential, pool)
      if (jump?.credential !== undefined) credentials.find(jump.credential, pool)
    },
    async run(request, changed, signal) {
      const vms: InjectedVm[] = request.targets.map(({ host, port = 22 }) => ({
        ...{ host, port, state: 'waiting', step: injectionSteps[0], reconnects: 0 },
      }))
      changed(vms)
      const own = createPlaces(request.parallel ?? deps.parallel)
      await Promise.all(
        request.targets.map(async (target, index) => {
          const progress: Progress = (part) => {
            vms[index] = { ...(vms[index] as InjectedVm), ...part }
            changed(vms)
          }
          const key = `${target.host}:${target.port ?? 22}`
          try {
            await own.run(
              () =>
                places.run(async () => {
                  if (busy.has(key))
                    throw new MooringError('CONFLICT', { detail: `${key} is being worked on` })
                  busy.add(key)
                  try {
                    progress({ state: 'running' })
                    await work(request, target, progress, signal)
                  } finally {
                    busy.delete(key)
                  }
                }, signal),
              signal,
            )
            progress({ state: 'done' })
          } catch (error) {
            const known = isMooringError(error) ? error : new MooringError('INTERNAL', { cause: error })
            if (!isMooringError(error))
              log.error('an injection failed', { host: key, error: errorText(error) })
            progress({
              state: 'failed',
              code: known.code,
              ...(known.detail !== undefined && { detail: known.detail }),
            })
          }
          await recordEnd(request, vms[index] as InjectedVm)
        }),
      )
      return vms
    },
  }
}
