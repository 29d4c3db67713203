import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { compileAgent } from '../../../packaging/executable/compile.ts'
import { toolsFolder } from '../../../packaging/tools/cache.ts'
import { createRuntimes, hostArchOf } from '../../../packaging/tools/runtimes.ts'

const project = path.resolve(import.meta.dirname, '../../..')
const runtimes = createRuntimes({
  project,
  cacheFolder: toolsFolder(process.env),
  hostArch: process.arch,
})
const host = hostArchOf(process.arch)
const bun = await runtimes.bun(host)

const folder = await mkdtemp(path.join(tmpdir(), 'mooring-executable-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const first = path.join(folder, 'one/mooring-agent')
const inputs = await compileAgent(first, { project, bun })

/** Packages with a file in the executable, and why each is worth its bytes on every VM. */
const mayHold: Readonly<Record<string, string>> = {
  typebox: 'checks what comes from the controller and from files',
  yaml: 'reads the configuration',
  systeminformation: 'facts about the machine; loaded by a child that ends, and nowhere else',
  'tar-stream': 'unpacks the sidecar',
  streamx: 'tar-stream is made of it',
  'fast-fifo': 'streamx is made of it',
  b4a: 'tar-stream and streamx are made of it',
  'text-decoder': 'streamx is made of it',
}

/** Packages of the project that have no business on a VM. */
const mayNotHold: Readonly<Record<string, string>> = {
  '@kubernetes/client-node': 'a VM has no credential for a cluster, and must be of no use for getting one',
  ssh2: 'the controller reaches out to machines, a machine never does',
  fastify: 'the agent listens on a local socket alone, with no web framework behind it',
  pino: "fastify's log; the agent writes the journal's fields by itself",
  'node-forge': 'RSA in plain JavaScript is for the root of the mesh; keys of VMs are made by the runtime',
  '@peculiar/x509': '5 MB of memory as long as the agent runs, for a request of 40 lines',
  'reflect-metadata': 'only @peculiar/x509 needs it',
  jose: 'VMs carry tokens, they do not make or judge them',
  'prom-client': 'figures of a VM go over its stream to the controller',
  ws: 'Bun has its own',
  commander: 'the agent reads its few arguments by itself',
  ajv: "fastify's; the agent checks by typebox alone",
  undici: 'the runtime makes requests by itself',
}

async function sha256(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

/** A checkout at another place, with the sources and the packages that the executable is made of. */
async function checkout(place: string, inputs: readonly string[]): Promise<string> {
  const root = path.join(folder, place)
  const sources = inputs.filter((file) => !file.startsWith('node_modules/'))
  const names = inputs.flatMap((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [])
  const packages = [...(await withDependencies(new Set(names)))].map((name) => `node_modules/${name}`)
  for (const file of [...sources, ...packages, 'package.json', 'tsconfig.json']) {
    await cp(path.join(project, file), path.join(root, file), { recursive: true })
  }
  return root
}

async function withDependencies(names: Set<string>): Promise<ReadonlySet<string>> {
  // What is added while it is walked is walked too.
  for (const name of names) {
    const manifest = path.join(project, 'node_modules', name, 'package.json')
    // Those that lie within the folder of the package that needs them come along with it.
    if (!existsSync(manifest)) names.delete(name)
    if (!names.has(name)) continue
    const { dependencies = {} } = JSON.parse(await readFile(manifest, 'utf8')) as { dependencies?: object }
    for (const dependency of Object.keys(dependencies)) names.add(dependency)
  }
  return names
}

t.test('the executable holds what it has a reason for, and nothing else', async (t) => {
  const held = new Set(
    inputs.flatMap((file) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  )
  for (const [name, why] of Object.entries(mayNotHold)) t.notOk(held.has(name), `${name}: ${why}`)
  const unknown = [...held].filter((name) => mayHold[name] === undefined)
  t.same(unknown, [], 'a new package comes with its reason')
  t.same(
    Object.keys(mayHold).filter((name) => !held.has(name)),
    [],
    'no reason without its package',
  )
  const others = inputs.filter((file) => /^(controller|cli|test)\//.test(file))
  t.same(others, [], 'nothing of the other programs')
})

t.test('systeminformation is loaded late, so only by the child that asks for facts', async (t) => {
  const own = inputs.filter((file) => !file.startsWith('node_modules/') && file.endsWith('.ts'))
  const importers = []
  for (const file of own) {
    const text = await readFile(path.join(project, file), 'utf8')
    if (/['"]systeminformation['"]/.test(text)) importers.push(file)
    t.notMatch(text, /(?:from|^import) ['"]systeminformation['"]/m, file)
  }
  t.same(importers, ['agent/host/facts.ts'])
})

t.test('two checkouts in different folders give the same bytes', async (t) => {
  const other = await checkout('a/much/longer/path/to/it', inputs)
  const second = path.join(folder, 'two/renamed')
  t.same(await compileAgent(second, { project: other, bun }), inputs)
  t.equal(await sha256(second), await sha256(first))
  t.notMatch(await promisify(execFile)('grep', ['-c', project, first]).catch(() => ({ stdout: '0' })), {
    stdout: /[1-9]/,
  })
  const { stdout } = await promisify(execFile)(second, ['version'])
  t.match(stdout, /^mooring-agent \d/)
})

t.test('an executable for the other kind of machine', async (t) => {
  const other = host === 'amd64' ? 'arm64' : 'amd64'
  const foreign = {
    target: `bun-linux-${other === 'amd64' ? 'x64' : other}`,
    runtime: await runtimes.bun(other),
  }
  const files = ['once', 'again'].map((name) => path.join(folder, name))
  for (const file of files) await compileAgent(file, { project, bun, foreign })
  const [once = '', again = ''] = files
  t.equal(await sha256(once), await sha256(again))
  // ELF's e_machine (elf.h): 62 is x86-64, 183 is AArch64.
  const handle = await open(once)
  const header = Buffer.alloc(20)
  await handle.read(header, 0, 20, 0)
  await handle.close()
  t.equal(header.subarray(0, 4).toString('latin1'), '\x7fELF')
  t.equal(header.readUInt16LE(18), other === 'arm64' ? 183 : 62)
})
