import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { bundleForNode } from '../../../packaging/release/node-bundle.ts'
import { agentExecutable } from '../../world/agent-executable.ts'

/** A way in which the agent could be shipped. */
export interface Candidate {
  readonly name: string
  readonly program: string
  /** Before the agent's own arguments. */
  readonly args: readonly string[]
  /** Bytes of all that a VM would have to have. */
  readonly size: number
}

const project = resolve(import.meta.dirname, '../../..')

/** What Node can be told to be smaller by; without compilers, as the shipped executable runs. */
const leanFlags = ['--jitless', '--optimize-for-size', '--max-semi-space-size=1', '--v8-pool-size=0']

/** The executable that ships, and the same agent in one file for Node, with its defaults and as small as Node gets. */
export async function candidates(folder: string): Promise<readonly Candidate[]> {
  const bundle = join(folder, 'agent.mjs')
  await bundleForNode('agent/main.ts', bundle, { project, bun: join(project, 'node_modules/.bin/bun') })
  const node = process.execPath
  const nodeSize = await sizeOf(node, bundle)
  return [
    { name: 'Bun executable', program: agentExecutable, args: [], size: await sizeOf(agentExecutable) },
    { name: 'Node', program: node, args: [bundle], size: nodeSize },
    { name: 'Node, lean', program: node, args: [...leanFlags, bundle], size: nodeSize },
  ]
}

async function sizeOf(...files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
