/**
 * Makes a release: executables, packages, completion, man pages, lists of parts, SHA256SUMS.
 *
 * Usage: npm run release -- --out DIR [--arch amd64,arm64] [--format deb,rpm] [--package NAME,…] [--sign KEYFILE]
 *        [--draft]   packed quickly instead of small
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type Format, packageNames, projectVersion, sourceEpoch } from '../linux-packages/packages.ts'
import { toolsFolder } from '../tools/cache.ts'
import { provideNfpm } from '../tools/nfpm.ts'
import { archs, createRuntimes } from '../tools/runtimes.ts'
import { signChecksums } from './checksums.ts'
import { makeRelease } from './release.ts'

const project = path.resolve(import.meta.dirname, '../..')
const { env } = process
const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    arch: { type: 'string', default: archs.join() },
    format: { type: 'string', default: 'deb,rpm' },
    package: { type: 'string', default: packageNames.join() },
    sign: { type: 'string' },
    draft: { type: 'boolean', default: false },
  },
})
if (values.out === undefined) throw new Error('say where to: npm run release -- --out DIR')
const out = path.resolve(values.out)
const cacheFolder = toolsFolder(env)

await makeRelease({
  project,
  out,
  version: await projectVersion(project),
  epoch: await sourceEpoch(project, env),
  archs: listed('--arch', values.arch, archs),
  formats: listed<Format>('--format', values.format, ['deb', 'rpm']),
  packages: listed('--package', values.package, packageNames),
  nfpm: await provideNfpm({ cacheFolder, searchPath: env.PATH ?? '' }),
  runtimes: createRuntimes({ project, cacheFolder, hostArch: process.arch }),
  hostArch: process.arch,
  draft: values.draft,
  ...(values.sign !== undefined && { signingKey: await readFile(path.resolve(values.sign), 'utf8') }),
  say: (text) => console.log(text),
})
if (values.sign !== undefined) await signChecksums(out, path.resolve(values.sign))
console.log(`in ${out}`)

function listed<T extends string>(option: string, text: string, known: readonly T[]): readonly T[] {
  return text.split(',').map((word) => {
    const found = known.find((one) => one === word)
    if (found === undefined) throw new Error(`${option} is of ${known.join(', ')}, not ${word}`)
    return found
  })
}
