import { access } from 'node:fs/promises'
import { MooringError } from '../../shared/errors.ts'
import { sidecarUnit } from './systemd-unit.ts'

/** What may run the sidecar: a unit of systemd, or the agent itself. */
export const supervisorKinds = ['systemd', 'process'] as const
export type SupervisorKind = (typeof supervisorKinds)[number]

export interface SupervisorWish {
  /** What the configuration says. */
  readonly wanted: SupervisorKind | undefined
  /** Folder that stands for `/`. */
  readonly root: string
  /** The state folder. */
  readonly state: string
  readonly exists?: (path: string) => Promise<boolean>
}

/** Where systemd looks for units (systemd.unit(5), "Unit File Load Path"), as far as packages and people put them there. */
const unitFolders = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
] as const
/** There once systemd is what booted the machine (sd_booted(3)). */
const bootedMark = '/run/systemd/system'
/** A unit's paths are fixed. */
const stateOfUnit = '/var/lib/mooring'

/** systemd where it runs, the unit is installed and the state is where the unit looks. Throws `CONFIG_INVALID`. */
export async function chooseSupervisor(wish: SupervisorWish): Promise<SupervisorKind> {
  const { wanted, root, state, exists = isThere } = wish
  if (wanted === 'process') return 'process'
  const obstacle = await obstacleOf(root, state, exists)
  if (obstacle === undefined) return 'systemd'
  if (wanted === undefined) return 'process'
  throw new MooringError('CONFIG_INVALID', { detail: `supervisor: systemd, but ${obstacle}` })
}

async function obstacleOf(
  root: string,
  state: string,
  exists: (path: string) => Promise<boolean>,
): Promise<string | undefined> {
  if (root !== '/' || state !== stateOfUnit) return `the unit knows the state in ${stateOfUnit} alone`
  if (!(await exists(bootedMark))) return 'this machine was not booted by systemd'
  for (const folder of unitFolders) if (await exists(`${folder}/${sidecarUnit}`)) return undefined
  return `${sidecarUnit} is not installed`
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
