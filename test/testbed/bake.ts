import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import tar from 'tar-stream'
import { createPartCache } from './parts/part-cache.ts'
import type { Parts } from './parts/parts.ts'
import { type Progress, silentProgress } from './progress.ts'

/** The sidecar as the controller serves it to agents. */
export interface BakedSidecar {
  readonly path: string
  readonly sha256: string
  readonly size: number
  readonly version: string
}

export interface BakeDeps {
  readonly parts: Parts
  /** Where it is kept, to be made only once. @defaultValue the parts' cache */
  readonly dir?: string
  readonly progress?: Progress
  readonly signal?: AbortSignal
}

const archive = 'sidecar.tar.gz'
const description = 'sidecar.json'
// Part of the key: raise it when the archive's layout changes.
const layout = 1

/** Packs pilot-agent, Envoy and the bootstrap template; the same parts give the same bytes. */
export async function bakeSidecar(deps: BakeDeps): Promise<BakedSidecar> {
  const { parts, signal, progress = silentProgress } = deps
  const entries = [
    { name: 'bin/envoy', source: parts.envoy, mode: 0o755 },
    { name: 'bin/pilot-agent', source: parts.pilotAgent, mode: 0o755 },
    { name: 'envoy_bootstrap_tmpl.json', source: parts.bootstrapTemplate, mode: 0o644 },
  ]
  const cache = createPartCache({ root: deps.dir ?? parts.cacheRoot, progress, signal })
  const dir = await cache.provide({
    key: sidecarKey(parts),
    label: `sidecar ${parts.istioVersion} (packed)`,
    files: [archive, description],
    executables: [],
    async make(dir) {
      const made = await pack(entries, join(dir, archive), signal)
      await writeFile(join(dir, description), JSON.stringify({ ...made, version: parts.istioVersion }))
    },
  })
  const baked = JSON.parse(await readFile(join(dir, description), 'utf8')) as Omit<BakedSidecar, 'path'>
  return { path: join(dir, archive), ...baked }
}

// The parts' folders name their versions and everything else that decides their bytes.
function sidecarKey(parts: Parts): string {
  const inputs = [layout, basename(dirname(parts.pilotAgent)), basename(dirname(parts.envoy))]
  const digest = createHash('sha256').update(inputs.join('\0')).digest('hex')
  return `sidecar-${parts.istioVersion}-${digest.slice(0, 8)}`
}

interface ArchiveEntry {
  readonly name: string
  readonly source: string
  readonly mode: number
}

async function pack(entries: readonly ArchiveEntry[], path: string, signal: AbortSignal | undefined) {
  const digest = createHash('sha256')
  let size = 0
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      digest.update(chunk)
      size += chunk.length
      done(null, chunk)
    },
  })
  const packer = tar.pack()
  const limits = signal === undefined ? {} : { signal }
  // Level 1: it is packed once per version but travels only within one machine.
  const written = pipeline(packer, createGzip({ level: 1 }), measure, createWriteStream(path), limits)
  const fed = (async () => {
    for (const { name, source, mode } of entries) {
      const { size } = await stat(source)
      const entry = packer.entry({
        name,
        size,
        mode,
        mtime: new Date(0),
        uid: 0,
        gid: 0,
        uname: '',
        gname: '',
      })
      await pipeline(createReadStream(source), entry, limits)
    }
    packer.finalize()
  })().catch((error: Error) => {
    packer.destroy(error)
    throw error
  })
  await Promise.all([written, fed])
  return { sha256: digest.digest('hex'), size }
}
