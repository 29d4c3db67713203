import { join, resolve } from 'node:path'
import { mustRun } from '../testbed/command.ts'
import { type Progress, silentProgress } from '../testbed/progress.ts'
import { TestbedError } from '../testbed/testbed-error.ts'

const project = resolve(import.meta.dirname, '../..')
const buildLimitMs = 10 * 60_000

/** The agent that ships, where its build puts it. */
export const agentExecutable = join(project, 'dist/mooring-agent')

/** Builds the agent's executable, so that what is run is what the sources say. */
export async function buildAgent(deps: { progress?: Progress; signal?: AbortSignal } = {}): Promise<void> {
  const { progress = silentProgress, signal } = deps
  if (process.platform !== 'linux') throw new TestbedError('NEEDS_LINUX', `this is ${process.platform}`)
  const step = progress.start('mooring-agent, as one executable')
  try {
    await mustRun(process.execPath, [join(project, 'packaging/executable/build.ts')], {
      cwd: project,
      timeoutMs: buildLimitMs,
      ...(signal !== undefined && { signal }),
    })
    step.done()
  } catch (error) {
    step.failed()
    throw error
  }
}
