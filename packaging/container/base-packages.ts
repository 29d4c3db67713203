import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { provideFolder } from '../tools/cache.ts'
import { run } from '../tools/command.ts'
import type { Arch } from '../tools/runtimes.ts'

/** A package of Debian, pinned to its bytes. */
export interface BasePackage {
  readonly name: string
  readonly version: string
  readonly sha256: Readonly<Record<Arch, string>>
}

/** The release of Debian that the packages are of. */
export const suite = 'bookworm'

const gcc = '12.2.0-14+deb12u1'

/** The libraries that Node is linked with, and the licence of those of GCC. */
export const basePackages: readonly BasePackage[] = [
  {
    name: 'gcc-12-base',
    version: gcc,
    sha256: {
      amd64: '1896a2aacf4ad681ff5eacc24a5b0ca4d5d9c9b9c9e4b6de5197bc1e116ea619',
      arm64: '674cf6cba6d432bd200c45fe866c1652c7a53523cc2e7a613e05bc4abf7b5440',
    },
  },
  {
    name: 'libatomic1',
    version: gcc,
    sha256: {
      amd64: 'fbd4e154a6b444229ea002cc209df099209c0adc09102e5fd21239a3d2b55e2d',
      arm64: '1693aa13ce2b30d061a519fc28b77b9bab8c8e45804ced5969d99821e1bc2159',
    },
  },
  {
    name: 'libc6',
    version: '2.36-9+deb12u14',
    sha256: {
      amd64: 'ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf',
      arm64: '01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4',
    },
  },
  {
    name: 'libgcc-s1',
    version: gcc,
    sha256: {
      amd64: '3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7',
      arm64: '576926b283613db80168ddf76380a3bd877602778cf0d226caa7bfbfa71eacf3',
    },
  },
  {
    name: 'libstdc++6',
    version: gcc,
    sha256: {
      amd64: '5cd3171216d4ab0fc911cfe9c35509bf2dd8f47761c43b7f6a4296701551a24d',
      arm64: '26e138c677a985775331373828a6c286c551ff397cb735d00e2383cb273d1cb2',
    },
  },
]

/**
 * A folder with the files of the packages below `root/`, and of each one its lines of dpkg's list below `control/`.
 * apt gets them, with lists of its own for either kind of machine; the digests are what is trusted. Debian keeps one
 * version of each: where a fix took the place of a pinned one, an image to hand out waits until somebody has put its
 * digest here (`draft` false), and one for trying takes what Debian's own signature is on.
 */
export async function provideBase(
  arch: Arch,
  { cacheFolder, draft }: { readonly cacheFolder: string; readonly draft: boolean },
): Promise<string> {
  const digest = createHash('sha256').update(JSON.stringify(basePackages)).digest('hex').slice(0, 8)
  const pinned = path.join(cacheFolder, `image-base-${suite}-${arch}-${digest}`)
  try {
    return await unpackBase(arch, pinned, true)
  } catch (error) {
    if (!draft) throw error
    return unpackBase(arch, `${pinned}-newer`, false)
  }
}

function unpackBase(arch: Arch, to: string, isPinned: boolean): Promise<string> {
  return provideFolder(to, async (folder) => {
    const apt = path.join(folder, 'apt')
    const [state, cache] = [path.join(apt, 'state'), path.join(apt, 'cache')]
    await mkdir(path.join(state, 'lists/partial'), { recursive: true })
    await mkdir(path.join(cache, 'archives/partial'), { recursive: true })
    const settings = [
      'APT::Sandbox::User=root',
      `APT::Architecture=${arch}`,
      `APT::Architectures=${arch}`,
      `Dir::State=${state}`,
      'Dir::State::status=/dev/null',
      `Dir::Cache=${cache}`,
      'Acquire::Languages=none',
      'Acquire::Retries=3',
    ]
    const options = ['--quiet', ...settings.flatMap((each) => ['-o', each])]
    const packages = path.join(folder, 'packages')
    await mkdir(packages)
    await run('apt-get', [...options, 'update'])
    const wanted = basePackages.map(({ name, version }) => (isPinned ? `${name}=${version}` : name))
    await run('apt-get', [...options, 'download', ...wanted], { cwd: packages })
    await mkdir(path.join(folder, 'control'))
    const files = await readdir(packages)
    for (const { name, sha256 } of basePackages) {
      const file = path.join(packages, files.find((one) => one.startsWith(`${name}_`)) ?? name)
      const found = createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
      if (isPinned && found !== sha256[arch])
        throw new Error(`${name} for ${arch} is ${found}, not the pinned one`)
      await run('dpkg-deb', ['--extract', file, path.join(folder, 'root')])
      await run('dpkg-deb', ['--control', file, path.join(folder, 'control', name)])
    }
    for (const made of [apt, packages]) await rm(made, { recursive: true })
  })
}
