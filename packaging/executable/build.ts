/**
 * Builds the agent's executable: one file that needs nothing on the VM. Does nothing when no input changed.
 *
 * Usage: node packaging/executable/build.ts [--arch amd64|arm64] [--out FILE]
 */
import { createHash } from 'node:crypto'
import { access, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { toolsFolder } from '../tools/cache.ts'
import { type Arch, createRuntimes, hostArchOf } from '../tools/runtimes.ts'
import { compileAgent, flags } from './compile.ts'

const project = path.resolve(import.meta.dirname, '../..')
const host = hostArchOf(process.arch)

/** What was built of what; lies beside the executable. */
interface Record {
  readonly digest: string
  readonly inputs: readonly string[]
}

const { values } = parseArgs({
  options: { out: { type: 'string' }, arch: { type: 'string', default: host } },
})
const arch = archOf(values.arch)
const out = path.resolve(project, values.out ?? `dist/mooring-agent${arch === host ? '' : `-${arch}`}`)
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
  const runtimes = createRuntimes({ project, cacheFolder: toolsFolder(process.env), hostArch: process.arch })
  const bun = await runtimes.bun(host)
  if (arch === host) return compileAgent(out, { project, bun })
  const foreign = {
    target: arch === 'arm64' ? 'bun-linux-arm64' : 'bun-linux-x64',
    runtime: await runtimes.bun(arch),
  }
  return compileAgent(out, { project, bun, foreign })
}

/** SHA-256 over the kind of machine, the flags, Bun's version and every input; undefined when an input is gone. */
async function digestOf(inputs: readonly string[]): Promise<string | undefined> {
  const hash = createHash('sha256').update(JSON.stringify([arch, ...flags]))
  hash.update(await readFile(path.join(project, 'node_modules/bun/package.json')))
  const own = ['build.ts', 'compile.ts'].map((name) => path.join('packaging/executable', name))
  for (const input of [...inputs, ...own]) {
    const content = await readFile(path.resolve(project, input)).catch(() => undefined)
    if (content === undefined) return undefined
    hash.update(`\n${input} ${content.length}\n`).update(content)
  }
  return hash.digest('hex')
}

function archOf(name: string): Arch {
  if (name === 'amd64' || name === 'arm64') return name
  throw new Error(`--arch is amd64 or arm64, not ${name}`)
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
