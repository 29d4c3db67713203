import { MooringError } from '../../shared/errors.ts'
import type { Task } from '../converge.ts'
import { skewWarning } from '../host/clock-skew.ts'

export interface PreflightDeps {
  /** User id of this process. */
  readonly uid: number
  /** By Go's name. */
  readonly arch: string
  readonly platform: string
  /** Whether a program is installed. */
  readonly hasProgram: (name: string) => Promise<boolean>
  /** Whether the pool wants traffic captured; undefined before the first bundle. */
  readonly captureWanted: () => boolean | undefined
  /** How far this VM's clock is ahead of the controller's; undefined before the first word from it. */
  readonly skewMs: () => number | undefined
}

/** Looks at the machine before anything is done to it. There is nothing to apply: only people can mend it. */
export function createPreflightTask(deps: PreflightDeps): Task {
  let canCapture = false
  return {
    name: 'preflight',
    condition: 'HostFit',
    async check() {
      if (deps.platform !== 'linux' || !['amd64', 'arm64'].includes(deps.arch)) {
        throw new MooringError('PLATFORM_UNSUPPORTED', { detail: `${deps.platform} ${deps.arch}` })
      }
      if (deps.uid !== 0) throw new MooringError('NOT_ROOT')
      if (deps.captureWanted() === true && !canCapture) {
        canCapture = (await deps.hasProgram('iptables')) || (await deps.hasProgram('nft'))
        if (!canCapture) throw new MooringError('IPTABLES_MISSING')
      }
      return true
    },
    async apply() {},
    note() {
      const message = skewWarning(deps.skewMs())
      return message === undefined ? undefined : { reason: 'CLOCK_WRONG', message }
    },
  }
}
