import { createKeeper, type KeeperDeps } from './keeper.ts'
import type { LogFile } from './log-file.ts'
import type { SidecarRuns } from './process-group.ts'
import type { Supervisor } from './supervisor.ts'

export interface ProcessSupervisorDeps extends Pick<KeeperDeps, 'clock' | 'log' | 'random'> {
  readonly groups: SidecarRuns
  readonly logFile: Pick<LogFile, 'rotate'>
}

/** Supervisor `process`: the sidecar as a process group that the agent starts and starts again. */
export function createProcessSupervisor({ groups, logFile, ...deps }: ProcessSupervisorDeps): Supervisor {
  return createKeeper({ ...deps, runs: groups, rotateLog: logFile.rotate })
}
