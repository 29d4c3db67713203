/** `npm run demo`: the main job, on a real mesh, on this machine. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { errorText } from '../shared/errors.ts'
import { missingParts } from '../test/testbed/parts/missing.ts'
import { defaultCacheRoot } from '../test/testbed/parts/part-cache.ts'
import { TestbedError } from '../test/testbed/testbed-error.ts'
import { agentExecutable } from '../test/world/agent-executable.ts'
import type { World } from '../test/world/world.ts'
import type { Notebook } from './cast.ts'
import { type Command, parseCommand, usage } from './command.ts'
import { needs, opening, outlook, steps, verdict } from './narration.ts'
import { checkNeeds, type Errand } from './needs.ts'
import { judge } from './promises.ts'
import { meshScene } from './scenes/mesh.ts'
import { createStage } from './stage.ts'
import { playStory } from './story.ts'

const { stdout, env } = process
const stopping = new AbortController()
// The second signal is Node's own: it ends the process at once, and the reaper does what is left.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))

const live = stdout.isTTY === true && env.TERM !== 'dumb'
const stage = createStage({
  write: (text) => stdout.write(text),
  live,
  colour: live && (env.NO_COLOR ?? '') === '',
  columns: () => stdout.columns ?? 100,
  now: () => performance.now(),
})

const code = await main(process.argv.slice(2))
// A scene that was broken off may still wait for what will not come.
stdout.write('', () => process.exit(code))

async function main(argv: readonly string[]): Promise<number> {
  let command: Command
  try {
    command = parseCommand(argv)
  } catch (error) {
    process.stderr.write(`${errorText(error)}\n`)
    return 2
  }
  if (command.help) {
    stage.say(usage)
    return 0
  }
  if (!(await prepared())) return 1
  return show(command)
}

/** Says what is needed and what will be got; false when this machine will not do. */
async function prepared(): Promise<boolean> {
  const cache = defaultCacheRoot(env)
  const errands: Errand[] = [...(await missingParts(cache, process.arch))]
  if (!existsSync(agentExecutable))
    errands.push({ what: 'mooring-agent, as one executable', by: 'bun', seconds: 5 })
  const { platform, arch } = process
  const list = await checkNeeds({ platform, arch, uid: process.geteuid?.(), errands })
  stage.say(...opening, ...needs(list, errands), ...outlook(errands, cache))
  return list.every((need) => need.met)
}

async function show({ once, json, mesh }: Command): Promise<number> {
  const { signal } = stopping
  const begun = performance.now()
  const notebook: Notebook = { boots: [] }
  let world: World | undefined
  let guide: readonly string[] | undefined
  try {
    const setting = await orAbort(meshScene(stage, mesh, signal), signal)
    world = setting.world
    guide = await orAbort(playStory(stage, setting, notebook), signal)
  } catch (error) {
    if (!signal.aborted) stage.say('', describe(error))
  }
  const promises = judge(notebook)
  const ok = guide !== undefined && promises.every(({ kept }) => kept)
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ ok, promises, ...notebook }, null, 2)}\n`)
  const brokenOff = guide === undefined && signal.aborted
  if (!brokenOff) stage.say(...verdict(promises, performance.now() - begun))
  if (guide !== undefined && !once) {
    stage.say(...guide)
    await aborted(signal)
  }
  if (world !== undefined) {
    stage.say('')
    const closing = stage.start(steps.closing)
    // Nobody is left whom they would have to leave in order.
    await Promise.all(world.network.vms.map((vm) => vm.killAll()))
    await world.close()
    closing.done()
  }
  if (brokenOff) return 130
  return ok ? 0 : 1
}

/** What is under way keeps no one waiting who wants to go. */
function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return Promise.race([work, aborted(signal).then(() => Promise.reject(signal.reason))])
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    // Signal handlers keep no process alive.
    const alive = setInterval(() => {}, 60_000)
    signal.addEventListener('abort', () => {
      clearInterval(alive)
      resolve()
    })
  })
}

function describe(error: unknown): string {
  if (error instanceof TestbedError) return `${error.message}\n${error.fix}`
  return inspect(error)
}
