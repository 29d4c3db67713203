import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { VmView } from '../../../shared/api/operator.ts'
import type { Landmark, Stamp } from '../../testbed/machines/timeline.ts'

/** Where the newest story is kept; its folder holds what is built. */
export const storyFile = resolve(import.meta.dirname, '../../../dist/boot-timeline.json')

/** What the console of a machine shows of agent, sidecar and application, beside the points of every boot. */
export const agentLandmarks: readonly Landmark[] = [
  { phase: 'application', pattern: /\]: \{"event":"listening"/ },
  { phase: 'agent unit', pattern: /systemd\[1\]: Starting mooring-agent\.service/ },
  { phase: 'agent', pattern: /mooring-agent\[\d+\]: agent started/ },
  { phase: 'joined', pattern: /mooring-agent\[\d+\]: joined/ },
  { phase: 'files', pattern: /mooring-agent\[\d+\]: step done.*step=files/ },
  { phase: 'stream', pattern: /mooring-agent\[\d+\]: stream open/ },
  { phase: 'sidecar', pattern: /mooring-agent\[\d+\]: step done.*step=sidecar/ },
  { phase: 'Envoy ready', pattern: /mooring-agent\[\d+\]: step done.*step=ready/ },
  { phase: 'captured', pattern: /mooring-agent\[\d+\]: step done.*step=capture/ },
]

/** One boot from power-on to the first answer; milliseconds since power-on, in their order. */
export interface BootStory {
  readonly machine: string
  readonly points: readonly Pick<Stamp, 'phase' | 'ms'>[]
}

/** Puts what the console showed, what the controller recorded and what a peer got into one order. */
export function bootStory(
  machine: { readonly name: string; readonly timeline: readonly Stamp[] },
  outside: {
    /** Unix milliseconds. */
    readonly poweredOnAt: number
    readonly view: Pick<VmView, 'conditions'>
    /** Milliseconds since power-on until the first answer. */
    readonly firstAnswerMs: number
  },
): BootStory {
  const open = outside.view.conditions.find(({ type }) => type === 'EndpointOpen')
  const points = [
    ...machine.timeline.map(({ phase, ms }) => ({ phase, ms })),
    ...(open === undefined ? [] : [{ phase: 'open to peers', ms: open.since - outside.poweredOnAt }]),
    { phase: 'first 200', ms: Math.round(outside.firstAnswerMs) },
  ]
  return { machine: machine.name, points: points.toSorted((a, b) => a.ms - b.ms) }
}

/** A story in a line. */
export function tellStory({ machine, points }: BootStory): string {
  const told = points.map(({ phase, ms }) => `${phase} ${(ms / 1000).toFixed(1)}`)
  return `${machine}, seconds since power-on: ${told.join(', ')}`
}

/** Keeps stories as JSON, in place of those before. */
export async function keepStories(stories: readonly BootStory[], file = storyFile): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(`${file}.new`, `${JSON.stringify(stories, null, 2)}\n`)
  await rename(`${file}.new`, file)
}
