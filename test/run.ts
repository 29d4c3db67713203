#!/usr/bin/env node
import { globSync } from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { errorText, MooringError } from '../shared/errors.ts'
import { type Command, parseCommand } from './run/command.ts'
import { digest } from './run/digest.ts'
import { runFile } from './run/file-process.ts'
import {
  meshObstacle,
  prepareAgent,
  prepareCluster,
  prepareMachines,
  prepareMesh,
} from './run/preparation.ts'
import { createReport, type Report } from './run/report.ts'
import { schedule } from './run/schedule.ts'
import { isBoot, isCluster, select, type TestFile } from './run/selection.ts'
import { emptyTally, lastLine, sum, type Tally } from './run/tally.ts'

const root = path.resolve(import.meta.dirname, '..')
const { env } = process
const inCi = env.CI === 'true'
const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt.abort(name))

const report = createReport({
  write: (text) => process.stdout.write(text),
  tty: process.stdout.isTTY === true && !inCi,
  colour: process.stdout.isTTY === true && env.NO_COLOR === undefined,
  columns: () => process.stdout.columns || 80,
  now: () => performance.now(),
})

process.exitCode = await main(process.argv.slice(2))
report.close()

async function main(argv: readonly string[]): Promise<number> {
  let command: Command
  try {
    command = parseCommand(argv, availableParallelism())
  } catch (error) {
    process.stderr.write(`${errorText(error)}\n`)
    return 2
  }
  const { total, complaint } = await runAll(command, report)
  report.summary(total)
  if (command.json !== undefined) await writeJson(command.json, total)
  if (command.failures !== undefined) await writeFailures(command.failures, total, complaint)
  if (complaint !== undefined) process.stdout.write(`${complaint}\n`)
  if (inCi && total.skipped > 0) process.stdout.write('With CI=true, a skipped test is a failure.\n')
  process.stdout.write(`${lastLine(total)}\n`)
  return total.failed > 0 || complaint !== undefined || (inCi && total.skipped > 0) ? 1 : 0
}

/** Runs what the command selects; `complaint` says why a run without failures is a failure all the same. */
async function runAll(command: Command, out: Report): Promise<{ total: Tally; complaint?: string }> {
  const paths = globSync('test/**/*.test.ts', { cwd: root }).map((file) => file.split(path.sep).join('/'))
  const { files, leftToTest } = select(command.mode, paths, { ...command, soakMinutes: command.minutes })
  if (leftToTest.length > 0) {
    out.title(`${leftToTest.length} real-mesh files are the core and belong to npm test: not repeated`)
  }
  if (files.length === 0) {
    if (leftToTest.length > 0) return { total: emptyTally }
    return {
      total: emptyTally,
      complaint: `No test file matches ${command.names.join(' ') || command.mode}.`,
    }
  }
  const light = files.filter((file) => file.weight === 'light')
  const mesh = files.filter((file) => file.weight === 'mesh')

  if (light.some((file) => file.path.startsWith('test/integration/agent/'))) {
    // A failure shows in those tests, which build it too.
    await prepareAgent(preparation(out), interrupt.signal).catch((error) => out.title(errorText(error)))
  }
  if (light.some((file) => isCluster(file.path))) {
    await prepareCluster(preparation(out), interrupt.signal).catch((error) => out.title(errorText(error)))
  }
  const results = [await runGroup('Unit and integration tests', light, command.jobs, command, out)]
  if (mesh.length > 0 && command.withoutMesh) results.push(leaveOut(mesh))
  else if (mesh.length > 0) {
    try {
      await prepareMesh(preparation(out), interrupt.signal)
      if (mesh.some((file) => isCluster(file.path))) await prepareCluster(preparation(out), interrupt.signal)
      const possible = await withoutImpossible(mesh, command, out)
      results.push(await runGroup('Real-mesh tests', possible, command.meshJobs, command, out))
    } catch (error) {
      const reason = meshObstacle(preparation(out)) ?? errorText(error)
      results.push(fail(mesh, reason))
    }
  }
  const total = sum(results)
  const counted = total.passed + total.failed + total.skipped
  return counted === 0 ? { total, complaint: 'No test ran.' } : { total }
}

/** Without the scenes that boot machines where this machine cannot, unless it is them that were asked for. */
async function withoutImpossible(
  files: readonly TestFile[],
  command: Command,
  out: Report,
): Promise<readonly TestFile[]> {
  const others = files.filter((file) => !isBoot(file.path))
  if (others.length === files.length || (await prepareMachines(preparation(out), interrupt.signal)))
    return files
  const detail = `${files.length - others.length} files that boot machines cannot run here`
  if (command.mode === 'e2e:boot') throw new MooringError('CONFIG_INVALID', { detail })
  out.title(`${detail}: left out`)
  return others
}

async function runGroup(
  title: string,
  files: readonly TestFile[],
  jobs: number,
  command: Command,
  out: Report,
): Promise<Tally> {
  if (files.length === 0) return emptyTally
  out.title(`${title}: ${files.length} files, ${Math.min(jobs, files.length)} at a time`)
  const deps = {
    node: process.execPath,
    cwd: root,
    env: { ...env, MOORING_SOAK_MINUTES: String(command.minutes) },
    onProgress: out.progress,
  }
  const results = await schedule(files, jobs, async (file) => {
    if (interrupt.signal.aborted) return fail([file], 'the run was interrupted before it')
    out.started(file.path)
    const result = await runFile(file, deps, interrupt.signal)
    out.ended(file.path, result)
    return result
  })
  return sum(results)
}

function preparation(out: Report) {
  return {
    platform: process.platform,
    uid: process.geteuid?.(),
    node: process.execPath,
    cwd: root,
    env,
    title: out.title,
  }
}

function leaveOut(files: readonly TestFile[]): Tally {
  const skips = files.map((file) => ({ path: [file.path], text: 'skip: left out by --without-mesh' }))
  return { ...emptyTally, skipped: files.length, skips }
}

function fail(files: readonly TestFile[], text: string): Tally {
  const failures = files.map((file) => ({ path: [file.path], text }))
  process.stdout.write(`${text}\n`)
  return { ...emptyTally, failed: files.length, failures }
}

/** What a run of several commands shows at its very end. */
async function writeFailures(file: string, total: Tally, complaint: string | undefined): Promise<void> {
  const skips = total.skips.map(({ path, text }) => ({ path: ['skipped', ...path], text }))
  const lines = [...digest(total.failures), ...(inCi ? digest(skips) : []), ...(complaint ? [complaint] : [])]
  await appendFile(file, lines.map((line) => `${line}\n`).join(''))
}

/** The counts and the scenes, for programs. */
async function writeJson(file: string, { passed, failed, skipped, scenes }: Tally): Promise<void> {
  await writeFile(file, `${JSON.stringify({ passed, failed, skipped, scenes }, null, 2)}\n`)
}
