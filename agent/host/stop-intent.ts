import type { Exec } from './exec.ts'
import { programFolders } from './programs.ts'

/** The unit that the package installs for the agent. */
export const agentUnit = 'mooring-agent.service'

/** What a request to end means: leave the mesh, or step aside for the agent that follows at once. */
export type StopIntent = 'leave' | 'aside'

const timeoutMs = 5_000

/**
 * Asks systemd why the agent is to end. It leaves when its unit is being stopped, alone or with the machine. When the
 * unit is being restarted, or somebody sent the signal and systemd will start it again, the VM stays in the mesh.
 * An unclear answer is `leave`: that costs capacity for a moment, and no request.
 */
export async function askStopIntent(exec: Exec): Promise<StopIntent> {
  const env = { PATH: programFolders.join(':'), LANG: 'C' }
  const args = ['--no-ask-password', '--no-legend', '--no-pager', '--full', 'list-jobs']
  const { code, stdout } = await exec('systemctl', args, { env, timeoutMs })
  return code === 0 ? intentOf(stdout) : 'leave'
}

/** Reads `systemctl list-jobs`: number, unit, kind and state of each. */
export function intentOf(jobs: string): StopIntent {
  const kinds = jobs
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, unit]) => unit === agentUnit)
    .map(([, , kind]) => kind)
  return kinds.includes('stop') ? 'leave' : 'aside'
}
