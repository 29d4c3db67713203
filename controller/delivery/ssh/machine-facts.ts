import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { MooringError } from '../../../shared/errors.ts'
import { mark } from './remote-script.ts'

/** What a script said: the words after each key, in their order. */
export type Said = ReadonlyMap<string, readonly string[]>

const mostLines = 200
const mostLength = 64 * 1024

/** The lines of a script's answer that are for the controller. */
export function readSaid(stdout: string): Said {
  const said = new Map<string, string[]>()
  let lines = 0
  for (const line of stdout.slice(0, mostLength).split('\n')) {
    if (!line.startsWith(`${mark} `) || lines >= mostLines) continue
    lines += 1
    const [key = '', ...rest] = line.slice(mark.length + 1).split(' ')
    said.set(key, [...(said.get(key) ?? []), rest.join(' ')])
  }
  return said
}

/** A machine that can carry the agent, and how one becomes root there. */
export interface Platform {
  readonly arch: 'amd64' | 'arm64'
  readonly root: 'is-root' | 'sudo' | 'sudo-with-password'
}

const archs: Readonly<Record<string, Platform['arch']>> = {
  x86_64: 'amd64',
  amd64: 'amd64',
  aarch64: 'arm64',
  arm64: 'arm64',
}
const needed = ['sha256sum', 'flock', 'tac', 'systemctl'] as const

/** Judges what the probe said. Throws what stands against this machine. */
export function judgePlatform(said: Said, hasPassword: boolean): Platform {
  const one = (key: string) => said.get(key)?.[0] ?? ''
  const programs = said.get('program') ?? []
  const system = one('system')
  if (system === '')
    throw new MooringError('PLATFORM_UNSUPPORTED', { detail: 'it has no shell for commands' })
  if (system !== 'Linux') throw new MooringError('PLATFORM_UNSUPPORTED', { detail: system.slice(0, 40) })
  const arch = archs[one('machine')]
  if (arch === undefined)
    throw new MooringError('PLATFORM_UNSUPPORTED', { detail: one('machine').slice(0, 40) })
  if (one('systemd') !== 'yes') throw new MooringError('SYSTEMD_MISSING')
  const missing = needed.find((program) => !programs.includes(program))
  if (missing !== undefined)
    throw new MooringError('PLATFORM_UNSUPPORTED', { detail: `it has no ${missing}` })
  if (!programs.includes('iptables') && !programs.includes('nft')) throw new MooringError('IPTABLES_MISSING')
  if (one('uid') === '0') return { arch, root: 'is-root' }
  if (!programs.includes('sudo')) throw new MooringError('SUDO_REFUSED', { detail: 'it has no sudo' })
  if (one('sudo') === 'free') return { arch, root: 'sudo' }
  if (!hasPassword) throw new MooringError('SUDO_REFUSED', { detail: 'sudo asks for a password' })
  return { arch, root: 'sudo-with-password' }
}

/** What is on the VM already. */
export interface Installation {
  readonly owner: 'none' | 'injected' | 'foreign'
  readonly unfinished: boolean
  readonly active: boolean
  /** Kilobytes that are free below /var/lib, and below /usr. */
  readonly free: readonly [number, number]
  /** Digest of each file, by its path. */
  readonly digests: ReadonlyMap<string, string>
  /** What a running agent says of itself. */
  readonly vm?: string
  readonly pool?: string
  /** Why it is not in the mesh. */
  readonly trouble?: string
}

/** Reads what `look` said. */
export function readInstallation(said: Said): Installation {
  const owner = said.get('owner')?.[0]
  const [state = 0, programs = 0] = (said.get('free')?.[0] ?? '').split(' ').map(Number)
  const status = readStatus(said.get('status')?.[0])
  return {
    owner: owner === 'injected' || owner === 'foreign' ? owner : 'none',
    unfinished: said.has('unfinished'),
    active: said.has('active'),
    free: [state, programs],
    digests: new Map(
      (said.get('digest') ?? []).flatMap((line) => {
        const [path, digest] = line.split(' ')
        return path === undefined || digest === undefined ? [] : [[path, digest] as const]
      }),
    ),
    ...status,
  }
}

const AgentStatus = Type.Object({
  vm: Type.Optional(Type.String({ maxLength: 63 })),
  pool: Type.Optional(Type.String({ maxLength: 63 })),
  trouble: Type.Optional(Type.String({ maxLength: 4096 })),
  conditions: Type.Optional(
    Type.Array(Type.Object({ status: Type.String(), reason: Type.String(), message: Type.String() }), {
      maxItems: 64,
    }),
  ),
})

function readStatus(text: string | undefined): Pick<Installation, 'vm' | 'pool' | 'trouble'> {
  let status: unknown
  try {
    status = JSON.parse(text ?? '')
  } catch {
    // No agent runs, or one that has no word for it.
  }
  if (!Value.Check(AgentStatus, status)) return {}
  const { vm, pool, conditions = [] } = status
  const fault = conditions.find((one) => one.status === 'False' && one.message !== '')
  const trouble = fault === undefined ? status.trouble : `${fault.reason}: ${fault.message}`
  return {
    ...(vm !== undefined && { vm }),
    ...(pool !== undefined && { pool }),
    ...(trouble !== undefined && { trouble: trouble.slice(0, 300) }),
  }
}

/** Kilobytes that must be left over, for the agent's state and the sidecar, which takes the most. */
const spareKilobytes = 64 * 1024

/** Throws `DISK_FULL` when there is no room for so many bytes, on their way and in their place. */
export function judgeRoom(
  { free }: Pick<Installation, 'free'>,
  bytes: { readonly arriving: number; readonly placed: number },
): void {
  const [state, programs] = free
  const arriving = Math.ceil(bytes.arriving / 1024) + spareKilobytes
  const placed = Math.ceil(bytes.placed / 1024)
  if (state < arriving) throw full('/var/lib', state, arriving)
  if (programs < placed) throw full('/usr', programs, placed)
}

function full(folder: string, free: number, wanted: number): MooringError {
  return new MooringError('DISK_FULL', {
    detail: `${folder} has ${Math.round(free / 1024)} MB, and ${Math.round(wanted / 1024)} MB are needed`,
  })
}
