import type { InjectedVm } from '../../../shared/api/injection.ts'
import { isMooringError, MooringError } from '../../../shared/errors.ts'
import { type AgentFiles, configFile, type InjectedFile, tokenFile } from './agent-files.ts'
import { layout } from './layout.ts'
import { type Installation, judgeRoom } from './machine-facts.ts'
import type { Invitation, Membership } from './membership.ts'
import type { Remote } from './remote.ts'

/** What is known of a machine so far; later parts lie over earlier ones. */
export type Progress = (part: Partial<Omit<InjectedVm, 'host' | 'port'>>) => void

export interface InjectionDeps {
  readonly files: AgentFiles
  readonly membership: Membership
  readonly settings: InjectionSettings
}

export interface InjectionSettings {
  /** How long an installed agent has to join, in milliseconds. */
  readonly joinMs: number
  /** And then its sidecar to run; what takes longer goes on by itself. */
  readonly settleMs: number
}

export interface InjectionOrder {
  readonly pool: string
  readonly url: string
  readonly pin: string
  /** Whom the token was made by, for the records. */
  readonly by: string
}

export interface InjectionWork {
  readonly remote: Remote
  readonly order: InjectionOrder
  /** One for a machine, also when its connection was cut meanwhile. */
  readonly invitation: { current?: Invitation }
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Makes one machine a VM of the pool. Each step looks first, so that all of it may be done again. */
export async function inject(work: InjectionWork, deps: InjectionDeps): Promise<void> {
  const { remote, order, invitation, progress, signal } = work
  const { files, membership, settings } = deps
  progress({ step: 'looking' })
  const agent = [...(await files.of(remote.platform.arch)), configFile(order)]
  const there = await remote.look(agent.map(({ path }) => path))
  checkOwner(there, order.pool)
  const member = there.active && (await membership.isMember(there.vm, order.pool))
  const missing = agent.filter(({ path, sha256 }) => there.digests.get(path) !== sha256)
  if (member && missing.length === 0 && there.vm !== undefined) {
    // A run that was cut at its very end.
    if (there.unfinished) await remote.finish()
    const phase = await membership.settled(there.vm, there.unfinished ? settings.settleMs : 0, signal)
    return progress({ changed: there.unfinished, vm: there.vm, phase })
  }

  if (!member) invitation.current ??= await membership.invite(order.pool, order.by)
  const { current } = invitation
  const wanted = [...missing, ...(current === undefined ? [] : [tokenFile(current.token)])]
  await upload(work, wanted, there)

  progress({ step: 'installing' })
  await remote.place(wanted)

  if (current === undefined && there.vm !== undefined) {
    await remote.finish()
    const phase = await membership.settled(there.vm, settings.settleMs, signal)
    return progress({ changed: true, vm: there.vm, phase })
  }
  progress({ step: 'joining' })
  const vm = await join(work, deps)
  progress({ step: 'starting', vm })
  const phase = await membership.settled(vm, settings.settleMs, signal)
  await remote.finish()
  progress({ changed: true, phase })
}

/** As long as the drain unit may take: more than the longest deadline of a pool. */
const removeMs = 3_700_000

/** Takes a machine out of the mesh, and away what was put there. */
export async function remove({ remote, progress }: InjectionWork): Promise<void> {
  progress({ step: 'removing' })
  const there = await remote.look([])
  progress({ changed: await remote.remove(removeMs), ...(there.vm && { vm: there.vm }) })
}

/** What another installation brought is nobody's to change but its own. */
function checkOwner({ owner, pool }: Installation, wanted: string): void {
  if (owner === 'foreign') throw new MooringError('AGENT_FOREIGN', { detail: layout.executable })
  if (owner === 'injected' && pool !== undefined && pool !== wanted) {
    throw new MooringError('AGENT_FOREIGN', { detail: `it is a VM of pool ${pool}` })
  }
}

async function join({ remote, invitation, signal }: InjectionWork, deps: InjectionDeps): Promise<string> {
  const { membership, settings } = deps
  if (invitation.current === undefined) throw new MooringError('INJECTION_NOT_JOINED')
  try {
    return await membership.joined(invitation.current, settings.joinMs, signal)
  } catch (error) {
    if (!isMooringError(error, 'INJECTION_NOT_JOINED')) throw error
    const { trouble } = await remote.look([])
    throw trouble === undefined
      ? error
      : new MooringError('INJECTION_NOT_JOINED', { detail: `${error.detail}: ${trouble}`, cause: error })
  }
}

async function upload(
  { remote, progress }: InjectionWork,
  wanted: readonly InjectedFile[],
  there: Installation,
): Promise<void> {
  const of = wanted.reduce((sum, { size }) => sum + size, 0)
  progress({ step: 'uploading' })
  const arrived = await remote.arrived(wanted)
  const come = [...arrived.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  judgeRoom(there, { arriving: of - come, placed: of })
  let before = 0
  for (const file of wanted) {
    const { bytes = 0, whole = false } = arrived.get(file.sha256) ?? {}
    const told = (now: number) => progress({ sent: { bytes: before + now, of } })
    told(bytes)
    if (!whole) await send(remote, file, bytes, told)
    before += file.size
  }
  progress({ sent: { bytes: of, of } })
}

/** Sends what is missing of a file; where what was there is not what it should be, all of it. */
async function send(
  remote: Remote,
  file: InjectedFile,
  offset: number,
  told: (bytes: number) => void,
): Promise<void> {
  try {
    await remote.send(file, offset, told)
  } catch (error) {
    if (offset === 0 || !isMooringError(error, 'ARTIFACT_DIGEST_MISMATCH')) throw error
    await remote.send(file, 0, told)
  }
}
