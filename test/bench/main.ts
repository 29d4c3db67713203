/** `npm run bench -- NAME`: measures on a real mesh, and says what was wanted beside what was found. */
import { writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { errorText } from '../../shared/errors.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { createProgress } from '../testbed/progress.ts'
import { TestbedError } from '../testbed/testbed-error.ts'
import { buildAgent } from '../world/agent-executable.ts'
import type { Bench } from './bench.ts'
import { benches, renderCatalogue } from './catalogue.ts'
import { type Command, parseCommand, usage } from './command.ts'
import { renderFigures } from './figure.ts'
import { describeMachine, renderMachine } from './machine.ts'

const stopping = new AbortController()
// The second signal is Node's own: it ends the process at once, and the reaper does what is left.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))

const say = (...lines: readonly string[]) => process.stdout.write(`${lines.join('\n')}\n`)
const progress = createProgress({
  write: (text) => process.stdout.write(text),
  live: process.stdout.isTTY === true,
  columns: process.stdout.columns ?? 100,
})

const cleanUps: (() => Promise<void>)[] = []

const code = await main(process.argv.slice(2))
for (const cleanUp of cleanUps.toReversed()) await cleanUp()
// Something that was broken off may still wait for what will not come.
process.stdout.write('', () => process.exit(code))

async function main(argv: readonly string[]): Promise<number> {
  let command: Command
  try {
    command = parseCommand(argv)
  } catch (error) {
    process.stderr.write(`${errorText(error)}\n`)
    return 2
  }
  const { name } = command
  if (name === undefined) {
    say(usage, 'Benchmarks:', renderCatalogue())
    return 0
  }
  const bench = benches.find((one) => one.name === name)
  if (bench === undefined) {
    process.stderr.write(`There is no benchmark ${name}. There are:\n${renderCatalogue()}\n`)
    return 2
  }
  try {
    await measure(bench, command)
    return 0
  } catch (error) {
    if (stopping.signal.aborted) return 130
    process.stderr.write(`${describe(error)}\n`)
    return 1
  }
}

async function measure(bench: Bench, { n, json, sizes, profile }: Command): Promise<void> {
  const { signal } = stopping
  if (process.geteuid?.() !== 0) throw new TestbedError('NEEDS_ROOT')
  await buildAgent({ progress, signal })
  const parts = await ensureParts({ progress, signal })
  const machine = await describeMachine(parts)
  say('', `${bench.name}: ${bench.about}`, ...renderMachine(machine).map((line) => `  ${line}`), '')
  const begun = performance.now()
  const atEnd = (cleanUp: () => Promise<void>) => void cleanUps.push(cleanUp)
  const result = await Promise.race([
    bench.run({ n, sizes, profile, progress, signal, atEnd }),
    brokenOff(signal),
  ])
  const seconds = Math.round((performance.now() - begun) / 1000)
  const samples = { machine, ...result.samples }
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ ...result.json, samples }, null, 2)}\n`)
  say('', renderFigures(result.figures), '', ...result.remarks.map((remark) => `- ${remark}`))
  say(
    '',
    `Took ${Math.floor(seconds / 60)} min ${seconds % 60} s${json === undefined ? '' : `; written to ${json}`}`,
  )
}

function brokenOff(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  )
}

function describe(error: unknown): string {
  if (error instanceof TestbedError) return `${error.message}\n${error.fix}`
  return inspect(error)
}
