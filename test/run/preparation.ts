import { spawn } from 'node:child_process'
import { MooringError } from '../../shared/errors.ts'

export interface PreparationDeps {
  readonly platform: string
  /** Effective user id; undefined where there is none. */
  readonly uid: number | undefined
  readonly node: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly title: (text: string) => void
}

/** What stands between this machine and a real mesh; undefined when nothing does. */
export function meshObstacle(deps: Pick<PreparationDeps, 'platform' | 'uid'>): string | undefined {
  const { platform, uid } = deps
  const way = 'Run them as root on Linux, or leave them out: npm test -- --without-mesh'
  if (platform !== 'linux') return `The real-mesh tests need Linux, and this is ${platform}. ${way}`
  if (uid !== 0)
    return `The real-mesh tests need root (they make network namespaces and traffic rules). ${way}`
  return undefined
}

interface Step {
  readonly title: string
  readonly script: string
  readonly args: readonly string[]
}

const agent: Step = {
  title: 'Building the agent executable',
  script: 'packaging/executable/build.ts',
  args: [],
}
const parts: Step = {
  title: 'Fetching the parts of the real mesh',
  script: 'test/testbed/main.ts',
  args: ['fetch'],
}

const machines: Step = {
  title: 'Making the machines that boot',
  script: 'test/testbed/main.ts',
  args: ['boot'],
}
const noMachines = 3

const cluster: Step = {
  title: 'Fetching the parts of a Kubernetes cluster',
  script: 'test/testbed/main.ts',
  args: ['fetch', '--kubernetes'],
}

/** Builds what the tests of the agent's executable run: once, before several of them want it at a time. */
export function prepareAgent(deps: PreparationDeps, signal: AbortSignal): Promise<void> {
  return prepare([agent], deps, signal)
}

/** Builds and fetches what the real-mesh tests use. Quick when everything is in the cache. */
export async function prepareMesh(deps: PreparationDeps, signal: AbortSignal): Promise<void> {
  const obstacle = meshObstacle(deps)
  if (obstacle !== undefined) throw new MooringError('CONFIG_INVALID', { detail: obstacle })
  await prepare([agent, parts], deps, signal)
}

/** Makes what the scenes boot; false where this machine cannot boot others, which it has said then. */
export async function prepareMachines(deps: PreparationDeps, signal: AbortSignal): Promise<boolean> {
  const { title, script, args } = machines
  deps.title(title)
  const code = await run(deps, [script, ...args], signal)
  if (code !== 0 && code !== noMachines)
    throw new MooringError('CONFIG_INVALID', { detail: `${title} failed with exit code ${code}` })
  return code === 0
}

/** Builds and fetches what a Kubernetes cluster is made of: many minutes once, then quick. */
export function prepareCluster(deps: PreparationDeps, signal: AbortSignal): Promise<void> {
  return prepare([cluster], deps, signal)
}

async function prepare(steps: readonly Step[], deps: PreparationDeps, signal: AbortSignal): Promise<void> {
  for (const { title, script, args } of steps) {
    deps.title(title)
    const code = await run(deps, [script, ...args], signal)
    if (code !== 0) {
      throw new MooringError('CONFIG_INVALID', {
        detail: `${title} failed with exit code ${code}: node ${script}`,
      })
    }
  }
}

function run(deps: PreparationDeps, argv: readonly string[], signal: AbortSignal): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(deps.node, argv, {
      cwd: deps.cwd,
      env: { ...deps.env },
      stdio: ['ignore', 'inherit', 'inherit'],
      signal,
      killSignal: 'SIGTERM',
    })
    child.once('error', reject)
    child.once('exit', resolve)
  })
}
