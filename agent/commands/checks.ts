import { lookup } from 'node:dns/promises'
import { access, constants, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Controller } from '../client/controller.ts'
import { skewOf, skewWarning } from '../host/clock-skew.ts'
import type { Exec } from '../host/exec.ts'
import { readBounded } from '../host/files.ts'
import { programFolders } from '../host/programs.ts'
import type { JoinMethod } from '../join/method.ts'
import { sidecarPorts } from '../sidecar/paths.ts'
import { createPortGuard } from '../sidecar/port-guard.ts'
import type { State } from '../state.ts'
import type { Check } from './doctor.ts'

export interface ChecksDeps {
  readonly uid: number
  readonly platform: string
  readonly arch: string
  readonly controllerUrl: URL
  readonly controller: Pick<Controller, 'challenge'>
  readonly method: JoinMethod
  readonly stateFolder: string
  /** Where the sidecar's own programs are. */
  readonly sidecarVersions: string
  readonly state: () => Promise<State | undefined>
  /** What the running agent says is the cause of a VM that is not ready; throws `NOT_RUNNING`. */
  readonly running: () => Promise<string>
  readonly exec: Exec
  readonly clock: { now(): number }
  /** Usually /proc. */
  readonly proc: string
  /** Usually /sys. */
  readonly sys: string
}

/** Two sidecars fit: the one in use, and the next version beside it. */
const roomBytes = 400 * 2 ** 20

/** Everything that `doctor` looks at, in the order in which the agent meets it. */
export function doctorChecks(deps: ChecksDeps): readonly Check[] {
  return [
    { name: 'root', look: async () => root(deps) },
    { name: 'platform', look: async () => platform(deps) },
    { name: 'disk', look: () => disk(deps.stateFolder) },
    { name: 'iptables', look: (signal) => natTable(deps, signal) },
    { name: 'ports', look: () => ports(deps) },
    { name: 'security', severity: 'hint', look: () => security(deps.sys) },
    { name: 'name', look: () => resolves(deps.controllerUrl) },
    { name: 'controller', look: (signal) => reaches(deps, signal) },
    { name: 'clock', look: (signal) => clockIsRight(deps, signal) },
    { name: 'evidence', look: (signal) => evidence(deps, signal) },
    { name: 'state', look: () => stateIsFine(deps) },
    { name: 'agent', look: () => deps.running() },
  ]
}

function root({ uid }: ChecksDeps): string {
  if (uid !== 0) throw new MooringError('NOT_ROOT')
  return 'this is root'
}

function platform({ platform, arch }: ChecksDeps): string {
  if (platform !== 'linux' || !['amd64', 'arm64'].includes(arch)) {
    throw new MooringError('PLATFORM_UNSUPPORTED', { detail: `${platform} ${arch}` })
  }
  return `${platform} ${arch}`
}

async function disk(folder: string): Promise<string> {
  const { bavail, bsize } = await statfs(await existing(folder))
  const free = bavail * bsize
  if (free < roomBytes) {
    throw new MooringError('DISK_FULL', {
      detail: `${folder} has room for ${mib(free)}, ${mib(roomBytes)} are needed`,
    })
  }
  return `${mib(free)} free for ${folder}`
}

async function existing(folder: string): Promise<string> {
  const found = await access(folder).then(
    () => true,
    () => false,
  )
  return found || folder === dirname(folder) ? folder : existing(dirname(folder))
}

async function natTable({ exec }: ChecksDeps, signal: AbortSignal): Promise<string> {
  const env = { PATH: programFolders.join(':') }
  const { code, stderr } = await exec('iptables', ['-t', 'nat', '-S'], { env, timeoutMs: 10_000, signal })
  if (code === 127) {
    const nft = await exec('nft', ['list', 'tables'], { env, timeoutMs: 10_000, signal })
    if (nft.code === 127) throw new MooringError('IPTABLES_MISSING')
    if (nft.code !== 0) throw new MooringError('CAPTURE_FAILED', { detail: nft.stderr.trim().slice(0, 500) })
    return 'nftables can be read; there is no iptables'
  }
  if (code !== 0) throw new MooringError('CAPTURE_FAILED', { detail: stderr.trim().slice(0, 500) })
  return 'the nat table can be read'
}

async function ports({ proc, state, sidecarVersions }: ChecksDeps): Promise<string> {
  const bundle = (await state().catch(() => undefined))?.bundle
  // Before the first bundle nobody knows what is wanted: all of it may be.
  const guard = createPortGuard(proc, sidecarVersions)
  await guard.mustBeFree(bundle ?? { capture: { enabled: true, dns: true } })
  return `${Object.values(sidecarPorts).join(', ')} are free or the sidecar's`
}

async function security(sys: string): Promise<string> {
  if ((await readBounded(join(sys, 'fs/selinux/enforce'), 16).catch(() => undefined))?.trim() === '1') {
    throw new MooringError('CAPTURE_FAILED', {
      detail:
        'SELinux enforces: if the sidecar or the traffic rules fail, look for denials with ausearch -m avc',
    })
  }
  const apparmor = await access(join(sys, 'kernel/security/apparmor'), constants.F_OK).then(
    () => true,
    () => false,
  )
  return apparmor ? 'AppArmor is active; the agent needs no profile' : 'no SELinux in force'
}

async function resolves(url: URL): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  try {
    const found = await lookup(host, { all: true })
    return `${host} is ${found.map(({ address }) => address).join(', ')}`
  } catch (cause) {
    throw new MooringError('CONTROLLER_UNREACHABLE', { detail: `${host}: ${errorText(cause)}`, cause })
  }
}

async function reaches({ controller, controllerUrl }: ChecksDeps, signal: AbortSignal): Promise<string> {
  await controller.challenge(signal)
  return `${controllerUrl.host} answers and is trusted`
}

async function clockIsRight({ controller, clock }: ChecksDeps, signal: AbortSignal): Promise<string> {
  const sentAt = clock.now()
  const challenge = await controller.challenge(signal)
  const skew = skewOf({ theirs: challenge.now, sentAt, receivedAt: clock.now() })
  const warning = skewWarning(skew)
  if (warning !== undefined) throw new MooringError('CLOCK_WRONG', { detail: warning })
  return 'agrees with the controller'
}

async function evidence({ method, state }: ChecksDeps, signal: AbortSignal): Promise<string> {
  const vm = (await state())?.identity?.vm
  if (vm !== undefined) return `this VM has joined as ${vm}`
  await method.evidence(signal)
  return `there is a ${method.name} to join with`
}

async function stateIsFine({ state }: ChecksDeps): Promise<string> {
  const { revoked, left } = (await state()) ?? {}
  if (revoked !== undefined) throw new MooringError('KEY_REVOKED')
  return left === undefined ? 'can be read' : `this VM left the mesh (${left.reason})`
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`
}
