import { readdir, readFile, readlink } from 'node:fs/promises'
import path from 'node:path'
import { basePackages } from './base-packages.ts'
import type { LayerEntry } from './layer.ts'

/** The image's repository, as the chart has it by default; releases are its tags. */
export const imageName = 'ghcr.io/mooring/mooring-controller'

/** Who the controller is in its image: nobody of a distribution. */
export const user = 65_532

/** The controller's folder for what must survive, as its configuration has it by default. */
export const dataDir = '/var/lib/mooring-controller'

/** What is started: no shell is there to find it. */
export const entrypoint = ['/usr/lib/mooring/node', '/usr/lib/mooring/controller/main.mjs'] as const

const libraries = /^(usr\/)?lib(64)?\/([^/]+\/)?[^/]+\.so[^/]*$/
const licences = /^usr\/share\/doc\/[^/]+\/copyright$|^usr\/share\/doc\/[^/]+$/

/** Node with its libraries, and the few files that libc reads: the layer that releases share. */
export async function baseEntries(base: string, node: string): Promise<readonly LayerEntry[]> {
  const root = path.join(base, 'root')
  const entries: LayerEntry[] = []
  for (const found of await readdir(root, { recursive: true, withFileTypes: true })) {
    const file = path.join(found.parentPath, found.name)
    const name = path.relative(root, file)
    if (!libraries.test(name) && !licences.test(name)) continue
    if (found.isSymbolicLink()) entries.push({ name, link: await readlink(file) })
    // Its loader is run as a program.
    else if (found.isFile()) entries.push({ name, file, mode: /\/ld-/.test(name) ? 0o755 : 0o644 })
  }
  // Where those who look for known weaknesses find what is in an image that has no dpkg.
  for (const { name } of basePackages) {
    const content = await readFile(path.join(base, 'control', name, 'control'), 'utf8')
    entries.push({ name: `var/lib/dpkg/status.d/${name}`, content })
  }
  return [
    ...entries,
    { name: 'etc/os-release', content: 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12, in parts"\n' },
    { name: 'etc/nsswitch.conf', content: 'hosts: files dns\n' },
    { name: 'etc/passwd', content: `root:x:0:0::/:/\nmooring:x:${user}:${user}::${dataDir}:/\n` },
    { name: 'etc/group', content: `root:x:0:\nmooring:x:${user}:\n` },
    { name: 'tmp', folder: true, mode: 0o1777 },
    { name: 'usr/lib/mooring/node', file: node, mode: 0o755 },
  ]
}

export interface Programs {
  /** The bundles of the two programs, each in one file. */
  readonly controller: string
  readonly cli: string
  readonly version: string
  readonly licence: string
}

/** Controller and command line. Their first line names Node, so that each starts by its name without a shell. */
export async function programEntries(programs: Programs): Promise<readonly LayerEntry[]> {
  const startable = async (file: string) => withInterpreter(await readFile(file, 'utf8'), entrypoint[0])
  const manifest = { name: 'mooring', version: programs.version, type: 'module' }
  const lib = 'usr/lib/mooring'
  return [
    { name: `${lib}/package.json`, content: `${JSON.stringify(manifest)}\n` },
    { name: `${lib}/controller/main.mjs`, content: await startable(programs.controller), mode: 0o755 },
    { name: `${lib}/cli/main.mjs`, content: await startable(programs.cli), mode: 0o755 },
    { name: 'usr/bin/mooring-controller', link: '../lib/mooring/controller/main.mjs' },
    { name: 'usr/bin/mooring', link: '../lib/mooring/cli/main.mjs' },
    { name: 'usr/share/doc/mooring/copyright', file: programs.licence },
    { name: 'etc/mooring', folder: true },
    { name: dataDir.slice(1), folder: true, mode: 0o700, uid: user },
  ]
}

/** The program with this interpreter in its first line, in place of another one. */
export function withInterpreter(program: string, interpreter: string): string {
  return `#!${interpreter}\n${program.replace(/^#!.*\n/, '')}`
}
