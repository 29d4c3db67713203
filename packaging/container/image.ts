import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleForNode } from '../release/node-bundle.ts'
import { run } from '../tools/command.ts'
import { type Arch, hostArchOf, type Runtimes } from '../tools/runtimes.ts'
import { provideBase } from './base-packages.ts'
import { baseEntries, dataDir, entrypoint, programEntries, user } from './contents.ts'
import { imageSbom, partsOf } from './image-sbom.ts'
import { packLayer } from './layer.ts'
import { writeIndex, writeLayout, writeManifest } from './oci-archive.ts'

export interface ImageDeps {
  /** The project's root. */
  readonly project: string
  /** The archive; `.cdx.json` is put behind it for the list of parts. */
  readonly out: string
  /** Repository and tag. */
  readonly name: string
  readonly version: string
  /** Seconds since 1970. */
  readonly epoch: number
  readonly archs: readonly Arch[]
  /** Packed quickly instead of small: for trying, not for handing out. */
  readonly draft: boolean
  readonly runtimes: Runtimes
  readonly cacheFolder: string
  /** Node's name of this machine's kind. */
  readonly hostArch: string
  readonly say: (text: string) => void
}

/** Makes the controller's image as an OCI archive; returns its digest. The same sources give the same digest. */
export async function makeImage(deps: ImageDeps): Promise<string> {
  const { project, out, name, version, epoch, runtimes, say } = deps
  const work = `${out}.work`
  const blobs = path.join(work, 'layout/blobs/sha256')
  await rm(work, { recursive: true, force: true })
  await mkdir(blobs, { recursive: true })
  try {
    const bun = await runtimes.bun(hostArchOf(deps.hostArch))
    const [controller, cli] = [path.join(work, 'controller.mjs'), path.join(work, 'cli.mjs')]
    const inputs = [
      ...(await bundleForNode('controller/main.ts', controller, { project, bun })),
      ...(await bundleForNode('cli/main.ts', cli, { project, bun })),
    ]
    const licence = path.join(project, 'LICENSE')
    const annotations = {
      'org.opencontainers.image.title': 'mooring-controller',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.created': new Date(epoch * 1000).toISOString(),
      'org.opencontainers.image.licenses': 'Apache-2.0',
    }
    const config = {
      User: `${user}:${user}`,
      Entrypoint: entrypoint,
      Cmd: ['run'],
      Env: ['PATH=/usr/bin', 'NODE_ENV=production', 'MOORING_CONFIG=/etc/mooring/controller.yaml'],
      WorkingDir: dataDir,
      ExposedPorts: { '8443/tcp': {} },
    }
    const packing = { folder: blobs, draft: deps.draft }
    const programs = await packLayer(await programEntries({ controller, cli, version, licence }), {
      ...packing,
      epoch,
    })
    const images = []
    for (const arch of deps.archs) {
      say(`image for ${arch}`)
      const node = await runtimes.node(arch)
      const base = await baseEntries(await provideBase(arch, deps), node)
      // Of no commit's time: it stays the same from release to release, and is pulled once.
      const layers = [
        { ...(await packLayer(base, { ...packing, epoch: 0 })), made: 'Node and its libraries' },
        { ...programs, made: 'controller and command line' },
      ]
      const manifest = await writeManifest(blobs, { arch, layers, epoch, config, annotations })
      images.push({ arch, ...manifest })
    }
    const index = await writeIndex(blobs, images, annotations)
    await writeLayout(path.join(work, 'layout'), index, name)
    const subject = { version, epoch, digest: index.digest, archs: deps.archs }
    const sbom = imageSbom(await partsOf(inputs, project), subject)
    await writeFile(`${out}.cdx.json`, `${JSON.stringify(sbom, null, 2)}\n`)
    const archive = path.join(work, 'image.tar')
    await run('tar', [
      ...sameEachTime(epoch),
      '-C',
      path.join(work, 'layout'),
      '-cf',
      archive,
      ...layoutFiles,
    ])
    await rename(archive, out)
    return index.digest
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

const layoutFiles = ['oci-layout', 'index.json', 'blobs']

function sameEachTime(epoch: number): readonly string[] {
  return [
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '--sort=name',
    '--mode=u=rwX,go=rX',
    `--mtime=@${epoch}`,
  ]
}
