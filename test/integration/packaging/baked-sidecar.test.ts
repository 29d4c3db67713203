import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { installedIn, isInstalled, versionFolder } from '../../../agent/sidecar/artifact-manifest.ts'
import { sidecarPaths } from '../../../agent/sidecar/paths.ts'
import { mustRun, runCommand } from '../../testbed/command.ts'

const recipe = resolve(import.meta.dirname, '../../../packaging/image-builder/sidecar.sh')

/** A folder with an empty image, and an archive of three small files in the layout of a sidecar's. */
async function open(t: Test, name = 'sidecar-1.29.1+x-amd64.tar.gz') {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-baked-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const files = join(dir, 'files')
  await mkdir(join(files, 'bin'), { recursive: true })
  for (const file of ['bin/envoy', 'bin/pilot-agent', 'envoy_bootstrap_tmpl.json'])
    await writeFile(join(files, file), `this is ${file}`)
  await chmod(join(files, 'bin/envoy'), 0o700)
  const archive = join(dir, name)
  const pack = () => mustRun('tar', ['-czf', archive, '-C', files, 'bin', 'envoy_bootstrap_tmpl.json'])
  await pack()
  const root = join(dir, 'image')
  await mkdir(root)
  const paths = sidecarPaths({ state: join(root, 'var/lib/mooring'), log: join(root, 'var/log/mooring') })
  const bake = (...more: readonly string[]) =>
    runCommand(recipe, ['--root', root, '--archive', archive, ...more])
  return { dir, files, archive, paths, bake, pack }
}

async function digestOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

t.test('what it lays into an image is what the agent takes for installed', async (t) => {
  const { archive, paths, bake } = await open(t)
  const sha256 = await digestOf(archive)
  for (const time of ['first', 'second']) {
    const { code, stderr } = await bake('--sha256', sha256)
    t.equal(code, 0, `${time}: ${stderr}`)
  }
  const artifact = { version: '1.29.1+x', arch: 'amd64', sha256, size: 1 } as const
  const folder = versionFolder(paths.versions, artifact)
  t.equal(await isInstalled(folder, artifact), true)
  t.equal(resolve(paths.current, '..', await readlink(paths.current)), folder)
  t.equal((await installedIn(folder))?.version, '1.29.1+x')
  t.equal((await stat(join(folder, 'bin/envoy'))).mode & 0o777, 0o755)
})

t.test('a name that says no version needs one', async (t) => {
  const { archive, paths, bake } = await open(t, 'sidecar.tar.gz')
  t.equal((await bake()).code, 2)
  t.equal((await bake('--version', '../1')).code, 2)
  t.equal((await bake('--version', '1.2.3')).code, 0)
  const name = `1.2.3-${(await digestOf(archive)).slice(0, 12)}`
  t.equal((await installedIn(join(paths.versions, name)))?.version, '1.2.3')
})

t.test('another digest, a missing file and a link are refused, and leave nothing', async (t) => {
  const { files, paths, bake, pack } = await open(t)
  const wrong = await bake('--sha256', '0'.repeat(64))
  t.equal(wrong.code, 1)
  await rm(join(files, 'bin/envoy'))
  await pack()
  t.not((await bake()).code, 0)
  await symlink('/bin/true', join(files, 'bin/envoy'))
  await pack()
  t.match(await bake(), { code: 1, stderr: /is no plain file/ })
  const { stdout } = await runCommand('find', [paths.versions, '-mindepth', '1'])
  t.equal(stdout, '')
})
