/**
 * Builds the agent's executable: one file that needs nothing on the VM. Does nothing when no input changed.
 *
 * Usage: node packaging/executable/build.ts [--out FILE]
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'

const project = path.resolve(import.meta.dirname, '../..')
const bun = path.join(project, 'node_modules/bun/bin/bun.exe')
const entry = 'packaging/executable/entry.ts'

/** What makes two builds of the same sources the same. */
const flags = [
  '--compile',
  '--minify',
  '--format=esm',
  // Parsed once, here: it starts sooner, and the text of the program is not kept in memory.
  '--bytecode',
  // What is imported late is loaded late.
  '--splitting',
  // It must not matter in which folder the agent is started.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  // The agent waits nearly all of its life: memory counts for more than the speed of its code.
  '--compile-exec-argv=--smol',
] as const

/** What was built of what; lies beside the executable. */
interface Record {
  readonly digest: string
  readonly inputs: readonly string[]
}

const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist/mooring-agent' } } })
const out = path.resolve(project, values.out)
const recordFile = `${out}.inputs.json`

const before = await readRecord()
if (before !== undefined && (await exists(out)) && before.digest === (await digestOf(before.inputs))) {
  console.log(`${path.relative(project, out)} is up to date`)
} else {
  const inputs = await build()
  await writeFile(recordFile, JSON.stringify({ digest: await digestOf(inputs), inputs }))
  console.log(`${path.relative(project, out)} built of ${inputs.length} files`)
}

/** Builds, and returns the files that went in. */
async function build(): Promise<readonly string[]> {
  await mkdir(path.dirname(out), { recursive: true })
  const temporary = `${out}.${process.pid}.tmp`
  const metafile = `${temporary}.json`
  try {
    const args = ['build', ...flags, `--metafile=${metafile}`, entry, `--outfile=${temporary}`]
    await promisify(execFile)(bun, args, { cwd: project })
    const { inputs } = JSON.parse(await readFile(metafile, 'utf8')) as { inputs: object }
    // Renamed at the end: an agent that runs from the old file goes on with it.
    await rename(temporary, out)
    return Object.keys(inputs).sort()
  } finally {
    await rm(temporary, { force: true })
    await rm(metafile, { force: true })
  }
}

/** SHA-256 over the flags, Bun's version and every input; undefined when an input is gone. */
async function digestOf(inputs: readonly string[]): Promise<string | undefined> {
  const hash = createHash('sha256').update(JSON.stringify(flags))
  hash.update(await readFile(path.join(project, 'node_modules/bun/package.json')))
  for (const input of [...inputs, path.relative(project, import.meta.filename)]) {
    const content = await readFile(path.resolve(project, input)).catch(() => undefined)
    if (content === undefined) return undefined
    hash.update(`\n${input} ${content.length}\n`).update(content)
  }
  return hash.digest('hex')
}

async function readRecord(): Promise<Record | undefined> {
  try {
    return JSON.parse(await readFile(recordFile, 'utf8')) as Record
  } catch {
    return undefined
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
