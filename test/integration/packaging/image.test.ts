import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const project = path.resolve(import.meta.dirname, '../../..')
const run = promisify(execFile)
t.setTimeout(10 * 60_000)

interface Descriptor {
  readonly digest: string
  readonly size: number
}

t.test(
  'the image: the same from the same sources, and its programs start without a shell, as nobody',
  async (t) => {
    const dir = t.testdir({})
    const build = async (name: string) => {
      const args = [
        path.join(project, 'packaging/container/main.ts'),
        '--draft',
        '--out',
        path.join(dir, name),
      ]
      // Both are of one moment, even where somebody commits between them.
      const env = { ...process.env, SOURCE_DATE_EPOCH: '1700000000' }
      const { stdout } = await run(process.execPath, args, { cwd: project, env })
      return /@(sha256:[0-9a-f]{64})$/m.exec(stdout)?.[1]
    }
    const digest = await build('a.tar')
    t.ok(digest)
    t.equal(await build('b.tar'), digest)
    const sum = async (name: string) =>
      createHash('sha256')
        .update(await readFile(path.join(dir, name)))
        .digest('hex')
    t.equal(await sum('a.tar'), await sum('b.tar'))
    t.equal(await sum('a.tar.cdx.json'), await sum('b.tar.cdx.json'))
    await rm(path.join(dir, 'b.tar'))

    const layout = path.join(dir, 'layout')
    await mkdir(layout)
    await run('tar', ['-C', layout, '-xf', path.join(dir, 'a.tar')])
    const blob = async (of: Descriptor) => {
      const content = await readFile(path.join(layout, 'blobs', of.digest.replace(':', '/')))
      t.equal(`sha256:${createHash('sha256').update(content).digest('hex')}`, of.digest)
      t.equal(content.length, of.size)
      return content
    }
    const json = async (of: Descriptor) => JSON.parse((await blob(of)).toString())
    const { manifests } = JSON.parse(await readFile(path.join(layout, 'index.json'), 'utf8'))
    t.equal(manifests[0].digest, digest)
    const index = await json(manifests[0])
    const manifest = await json(index.manifests[0])
    const { config } = await json(manifest.config)
    t.match(config, { User: '65532:65532', Entrypoint: ['/usr/lib/mooring/node', String] })

    const root = path.join(dir, 'root')
    await mkdir(root)
    for (const layer of manifest.layers as readonly Descriptor[]) {
      await blob(layer)
      await run('tar', ['-C', root, '-xzf', path.join(layout, 'blobs', layer.digest.replace(':', '/'))])
    }
    const { version } = JSON.parse(await readFile(path.join(project, 'package.json'), 'utf8')) as {
      version: string
    }
    const within = (...command: readonly string[]) =>
      run('chroot', ['--userspec=65532:65532', root, ...command], { env: { PATH: process.env.PATH } })
    t.equal((await within(...config.Entrypoint, 'version')).stdout, `${version}\n`)
    t.equal((await within('/usr/bin/mooring-controller', 'version')).stdout, `${version}\n`)
    t.match((await within('/usr/bin/mooring', '--help')).stdout, /pool/)
    await t.rejects(within('/bin/sh', '-c', 'true'), { code: 127 }, 'no shell')
  },
)
