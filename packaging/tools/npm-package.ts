import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { extract } from 'tar-stream'
import { run } from './command.ts'

export interface NpmFile {
  readonly name: string
  readonly version: string
  /** Of the package's archive, as in package-lock.json: `sha512-…`. */
  readonly integrity: string
  /** Which file of it, for example `bin/bun`. */
  readonly file: string
}

const fetchLimitMs = 10 * 60_000

/** Takes one program out of a package of npm's registry and writes it below `folder`; returns its path. */
export async function fetchNpmFile(wanted: NpmFile, folder: string): Promise<string> {
  const { name, version, integrity, file } = wanted
  const args = [
    'pack',
    '--silent',
    '--ignore-scripts',
    '--json',
    '--fetch-retries=5',
    '--pack-destination',
    folder,
  ]
  const answer = await run('npm', [...args, `${name}@${version}`], { cwd: folder, timeoutMs: fetchLimitMs })
  const archive = await readFile(join(folder, archiveName(answer)))
  const digest = `sha512-${createHash('sha512').update(archive).digest('base64')}`
  if (digest !== integrity) throw new Error(`${name}@${version} is ${digest}, not the pinned ${integrity}`)
  const path = join(folder, file)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, await member(gunzipSync(archive), `package/${file}`))
  await chmod(path, 0o755)
  return path
}

function archiveName(answer: string): string {
  const [packed] = JSON.parse(answer) as readonly { filename?: string }[]
  const name = packed?.filename?.replace(/^@/, '').replace('/', '-')
  if (name === undefined || name.includes('..')) throw new Error('npm pack named no file')
  return name
}

async function member(tar: Buffer, name: string): Promise<Buffer> {
  const entries = extract()
  entries.end(tar)
  for await (const entry of entries) {
    if (entry.header.name === name) return buffer(chunksOf(entry))
    entry.resume()
  }
  throw new Error(`there is no ${name} in the package`)
}

/** Its types do not say what its stream can do. */
function chunksOf(entry: object): AsyncIterable<Uint8Array> {
  return entry as AsyncIterable<Uint8Array>
}
