import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { type NpmSbom, packageFolder, programSbom } from '../release/sbom.ts'
import { run } from '../tools/command.ts'
import type { Arch } from '../tools/runtimes.ts'
import { basePackages, suite } from './base-packages.ts'

/** What went into the programs of an image. */
export interface ImageParts {
  readonly all: NpmSbom
  /** As `name@version`. */
  readonly packages: readonly string[]
  /** Node, as `name@version`. */
  readonly runtime: string
}

/** Which packages the bundled files belong to. */
export async function partsOf(inputs: readonly string[], project: string): Promise<ImageParts> {
  // With what is only for development: npm leaves out what both need.
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only']
  const all = JSON.parse(await run('npm', args, { cwd: project })) as NpmSbom
  const nameAndVersion = async (folder: string) => {
    const text = await readFile(path.join(project, folder, 'package.json'), 'utf8')
    const { name, version } = JSON.parse(text) as { name: string; version: string }
    return `${name}@${version}`
  }
  const packages: string[] = []
  for (const folder of new Set(inputs.flatMap((file) => packageFolder(file) ?? []))) {
    packages.push(await nameAndVersion(folder))
  }
  return { all, packages, runtime: await nameAndVersion('node_modules/node') }
}

export interface ImageSubject {
  readonly version: string
  /** Seconds since 1970. */
  readonly epoch: number
  /** `sha256:…` of the whole. */
  readonly digest: string
  readonly archs: readonly Arch[]
}

/** The parts of an image (CycloneDX 1.5): npm packages, Node, and the packages of Debian. */
export function imageSbom({ all, packages, runtime }: ImageParts, subject: ImageSubject): object {
  const { version, epoch, digest, archs } = subject
  const name = 'mooring-controller'
  const programs = programSbom(all, { name, version, epoch, packages, runtime }) as {
    metadata: { component: object }
    components: readonly object[]
  }
  const debian = archs.flatMap((arch) =>
    basePackages.map(({ name, version, sha256 }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${arch}&distro=${suite}`,
      hashes: [{ alg: 'SHA-256', content: sha256[arch] }],
    })),
  )
  const component = {
    ...programs.metadata.component,
    type: 'container',
    purl: `pkg:oci/${name}@${encodeURIComponent(digest)}?tag=${version}`,
  }
  return {
    ...programs,
    metadata: { ...programs.metadata, component },
    components: [...programs.components, ...debian],
  }
}
