import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { buildExecutable, executable } from './vm.ts'

const project = path.resolve(import.meta.dirname, '../../..')
const run = promisify(execFile)

interface Metafile {
  readonly inputs: Readonly<
    Record<string, { readonly imports: readonly { readonly original?: string; readonly kind: string }[] }>
  >
}

/** What went into the executable, and how it is reached. */
async function contents(): Promise<Metafile> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-metafile-'))
  try {
    const metafile = path.join(folder, 'meta.json')
    const bun = path.join(project, 'node_modules/bun/bin/bun.exe')
    const flags = ['--target=bun', '--splitting', `--metafile=${metafile}`, `--outdir=${folder}`]
    await run(bun, ['build', ...flags, 'packaging/executable/entry.ts'], { cwd: project })
    return JSON.parse(await readFile(metafile, 'utf8')) as Metafile
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Packages that must not be in the agent, and why. */
const forbidden: Record<string, string> = {
  '@kubernetes/client-node': 'a VM has no business with the Kubernetes API, and it weighs 50 MB',
  ssh2: 'the agent opens no SSH connections',
  fastify: 'the agent serves a socket of its own machine alone, which needs no web framework',
  'node-forge': 'it knows no elliptic curves, and weighs 5 MB in memory',
  '@peculiar/x509': 'all that the agent needs of X.509 is forty lines; the package weighs 5 MB in memory',
  'prom-client': 'metrics are the controller’s',
  commander: 'node:util reads arguments as well',
}

t.test('the executable holds what it should, and nothing else', async (t) => {
  const { inputs } = await contents()
  const packages = new Set(
    Object.keys(inputs).flatMap(
      (file) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? [],
    ),
  )
  t.ok(packages.has('typebox'), 'the list is one')
  for (const [name, reason] of Object.entries(forbidden)) t.notOk(packages.has(name), `${name}: ${reason}`)
  t.same(
    Object.keys(inputs).filter((file) => file.startsWith('controller/')),
    [],
    'nothing of the controller',
  )
})

t.test('facts about the machine are loaded late, by the process that tells them', async (t) => {
  const { inputs } = await contents()
  const ways = Object.entries(inputs).flatMap(([file, { imports }]) =>
    imports.filter(({ original }) => original === 'systeminformation').map(({ kind }) => `${file} ${kind}`),
  )
  t.same(ways, ['agent/host/facts.ts dynamic-import'])
  const { stdout } = await run(executable, ['facts'])
  t.match(JSON.parse(stdout), { 'os.kernel': /\d/, 'cpu.cores': /^\d+$/ })
})

t.test('what only the start needs is loaded late, and not by the agent that stays', async (t) => {
  const { inputs } = await contents()
  for (const [late, importer] of [
    ['yaml', 'agent/config-layers.ts'],
    ['tar-stream', 'agent/sidecar/artifact-archive.ts'],
  ])
    t.same(
      Object.entries(inputs).flatMap(([file, { imports }]) =>
        imports.filter(({ original }) => original === late).map(({ kind }) => `${file} ${kind}`),
      ),
      [`${importer} dynamic-import`],
    )
})

t.test('nothing of the folder in which it is started changes it', async (t) => {
  await buildExecutable()
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-cwd-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await writeFile(
    path.join(folder, '.env'),
    'MOORING_POOL=from-env-file\nMOORING_CONTROLLER_URL=https://evil:1\n',
  )
  await writeFile(path.join(folder, 'bunfig.toml'), 'preload = ["./evil.ts"]\n')
  await writeFile(path.join(folder, 'evil.ts'), 'console.log("evil")\n')
  await writeFile(path.join(folder, 'agent.yaml'), 'pool: ok\n')
  const failed = await run(executable, ['status', '--config', 'agent.yaml'], { cwd: folder, env: {} }).catch(
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
  t.match(failed, { code: 2, stdout: '', stderr: /NOT_CONFIGURED/ })
})

t.test('a second build of the same sources does nothing', async (t) => {
  await buildExecutable()
  const before = await stat(executable)
  await buildExecutable()
  const after = await stat(executable)
  t.equal(after.mtimeMs, before.mtimeMs)
  t.equal(after.ino, before.ino)
})
