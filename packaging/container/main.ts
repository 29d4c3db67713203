/**
 * Makes the controller's image as an OCI archive, without an engine: for `ctr images import`, `skopeo copy oci-archive:`,
 * `podman load`, and registries by either. Beside it FILE.cdx.json, the list of its parts.
 *
 * Usage: npm run image -- --out FILE [--arch amd64,arm64] [--name REPOSITORY[:TAG]]
 *        [--draft]   packed quickly instead of small
 */
import path from 'node:path'
import { parseArgs } from 'node:util'
import { projectVersion, sourceEpoch } from '../linux-packages/packages.ts'
import { toolsFolder } from '../tools/cache.ts'
import { archs, createRuntimes, hostArchOf } from '../tools/runtimes.ts'
import { imageName } from './contents.ts'
import { makeImage } from './image.ts'

const project = path.resolve(import.meta.dirname, '../..')
const { env } = process
const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    arch: { type: 'string', default: hostArchOf(process.arch) },
    name: { type: 'string', default: imageName },
    draft: { type: 'boolean', default: false },
  },
})
if (values.out === undefined) throw new Error('say where to: npm run image -- --out FILE')
const wanted = values.arch.split(',')
const chosen = archs.filter((arch) => wanted.includes(arch))
if (chosen.length !== wanted.length) throw new Error(`--arch is of ${archs.join(', ')}, not ${values.arch}`)
const cacheFolder = toolsFolder(env)
const version = await projectVersion(project)
const name = /:[^/]+$/.test(values.name) ? values.name : `${values.name}:${version}`
const digest = await makeImage({
  project,
  out: path.resolve(values.out),
  name,
  version,
  epoch: await sourceEpoch(project, env),
  archs: chosen,
  draft: values.draft,
  runtimes: createRuntimes({ project, cacheFolder, hostArch: process.arch }),
  cacheFolder,
  hostArch: process.arch,
  say: (text) => console.log(text),
})
console.log(`${name}@${digest}\nin ${path.resolve(values.out)}`)
