import type { Exec } from '../host/exec.ts'
import { programFolders } from '../host/programs.ts'
import type { ProbeResult } from './judge.ts'

/** As whom a probe's command is run. */
export interface ProbeUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Nobody: the command comes from the pool, and whoever may write a pool is not by that root on its VMs. Not with the
 * sidecar's group either, which the agent has: what the command sends is captured, as what the application sends.
 */
export const nobody: ProbeUser = { uid: 65_534, gid: 65_534 }

export interface ExecProbeDeps {
  readonly exec: Exec
  readonly user?: ProbeUser
}

const maxOutput = 4096
const maxSaid = 200
/** The caller's limit is the pool's and shorter; this one only bounds what `exec` would wait by itself. */
const longestMs = 120_000

/** Well is what ends with exit code 0. With `signal` the whole process group is killed. */
export async function probeByExec(
  command: readonly string[],
  { exec, user }: ExecProbeDeps,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const [program = '', ...args] = command
  const env = { PATH: programFolders.join(':'), LANG: 'C.UTF-8' }
  const limits = { timeoutMs: longestMs, maxOutput, signal }
  const { code, signal: ended, stdout, stderr } = await exec(program, args, { env, ...user, ...limits })
  if (code === 0) return { ok: true, detail: 'ended with 0' }
  const said = lastLine(stderr) ?? lastLine(stdout)
  return {
    ok: false,
    detail: `ended with ${code ?? ended ?? 'nothing'}${said === undefined ? '' : `: ${said}`}`,
  }
}

function lastLine(text: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.findLast((line) => line !== '')?.slice(0, maxSaid)
}
