import { createHash } from 'node:crypto'
import { copyFile, cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { mustRun } from '../command.ts'
import { appImage, pauseImage, proxyImage } from '../kubernetes/images.ts'
import { provideDebianFiles } from './debian-files.ts'
import type { PartCache } from './part-cache.ts'

export interface ImageSources {
  readonly istioVersion: string
  readonly pilotAgent: string
  readonly envoy: string
  readonly bootstrapTemplate: string
}

// Part of the key: raise it when what is in the images changes.
const layout = 5
const archive = 'images.tar'

const packages = [
  ...['busybox', 'libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1'],
  ...['iptables', 'libmnl0', 'libnftnl11', 'libxtables12', 'libip4tc2', 'libip6tc2'],
  ...['libnetfilter-conntrack3', 'libnfnetlink0'],
]
const iptablesNames = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`])
const users = 'root:x:0:0:root:/root:/bin/sh\nistio-proxy:x:1337:1337::/home/istio-proxy:/bin/sh\n'
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Path of one archive with all images that the testbed's pods are made from. */
export async function provideClusterImages(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  sources: ImageSources,
): Promise<string> {
  const debian = await provideDebianFiles(cache, signal, arch, {
    names: packages,
    files: ['bin/busybox', 'usr/sbin/xtables-nft-multi'],
  })
  const inputs = [
    String(layout),
    debian,
    basename(dirname(sources.pilotAgent)),
    basename(dirname(sources.envoy)),
  ]
  const digest = createHash('sha256').update(inputs.join('\0')).digest('hex').slice(0, 8)
  const dir = await cache.provide({
    key: `cluster-images-${sources.istioVersion}-${arch}-${digest}`,
    label: 'images of pods',
    files: [archive],
    executables: [],
    async make(dir, step) {
      step.at('base layer')
      const base = await layer(dir, 'base', (root) => fillBase(root, debian), signal)
      step.at('proxy layer')
      const proxy = await layer(dir, 'proxy', (root) => fillProxy(root, sources), signal)
      step.at('archive')
      const images = [
        await image(dir, arch, pauseImage, [base], { Entrypoint: ['/bin/busybox', 'sleep', '2147483647'] }),
        await image(dir, arch, appImage, [base], { Cmd: ['/bin/sh'] }),
        await image(dir, arch, proxyImage(sources.istioVersion), [base, proxy], {
          Entrypoint: ['/usr/local/bin/pilot-agent'],
        }),
      ]
      await writeFile(join(dir, 'manifest.json'), JSON.stringify(images))
      const files = ['manifest.json', base.file, proxy.file, ...images.map((each) => each.Config)]
      await mustRun('tar', ['-C', dir, '-cf', join(dir, archive), ...files], limits(signal))
      for (const file of files) await rm(join(dir, file))
    },
  })
  return join(dir, archive)
}

interface Layer {
  readonly file: string
  /** Digest of the layer's content. */
  readonly id: string
}

/** Packs what `fill` puts into a folder, with all files as root's. */
async function layer(
  dir: string,
  name: string,
  fill: (root: string) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<Layer> {
  const root = join(dir, `${name}.root`)
  await mkdir(root)
  await fill(root)
  const file = `${name}.tar`
  const sameEachTime = ['--numeric-owner', '--owner=0', '--group=0', '--sort=name', '--mtime=@0']
  await mustRun('tar', [...sameEachTime, '-C', root, '-cf', join(dir, file), '.'], limits(signal))
  await rm(root, { recursive: true })
  const id = createHash('sha256')
    .update(await readFile(join(dir, file)))
    .digest('hex')
  return { file, id }
}

/** One image of a Docker archive: its settings as a file, and its line of the manifest. */
async function image(dir: string, arch: string, name: string, layers: readonly Layer[], config: object) {
  const Config = `${basename(name).replace(/[^a-z0-9]/g, '-')}.json`
  const description = {
    architecture: arch === 'x64' ? 'amd64' : arch,
    os: 'linux',
    config: { Env: [`PATH=${path}`], ...config },
    rootfs: { type: 'layers', diff_ids: layers.map(({ id }) => `sha256:${id}`) },
  }
  await writeFile(join(dir, Config), JSON.stringify(description))
  return { Config, RepoTags: [name], Layers: layers.map(({ file }) => file) }
}

async function fillBase(root: string, debian: string): Promise<void> {
  const unneeded = /\/usr\/share\/(doc|man|locale|lintian|bug)$/
  await cp(debian, root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !unneeded.test(source),
  })
  for (const name of ['etc', 'root', 'tmp', 'proc', 'sys', 'dev', 'run', 'var', 'usr/bin'])
    await mkdir(join(root, name), { recursive: true })
  await mustRun('chmod', ['1777', join(root, 'tmp')])
  // Debian makes these links when a package is installed.
  for (const name of iptablesNames) await symlink('xtables-nft-multi', join(root, 'usr/sbin', name))
  const applets = (await mustRun(join(debian, 'bin/busybox'), ['--list'])).stdout.split('\n')
  for (const name of applets.filter((name) => name !== '' && name !== 'busybox'))
    await symlink('busybox', join(root, 'bin', name))
  await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  await writeFile(join(root, 'etc/passwd'), users)
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nistio-proxy:x:1337:\n')
}

async function fillProxy(root: string, sources: ImageSources): Promise<void> {
  const bin = join(root, 'usr/local/bin')
  const templates = join(root, 'var/lib/istio/envoy')
  await mkdir(bin, { recursive: true })
  await mkdir(templates, { recursive: true })
  await copyFile(sources.pilotAgent, join(bin, 'pilot-agent'))
  await copyFile(sources.envoy, join(bin, 'envoy'))
  await copyFile(sources.bootstrapTemplate, join(templates, 'envoy_bootstrap_tmpl.json'))
}

function limits(signal: AbortSignal | undefined) {
  return { timeoutMs: 5 * 60_000, ...(signal === undefined ? {} : { signal }) }
}
