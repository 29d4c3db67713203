import t from 'tap'
import { findCycle, type Import, importsOf, reach } from './import-graph.ts'
import { codeOf, filesOf, productFiles, textOf } from './source-tree.ts'

/** Which folders the files of each folder may import. */
const mayImport: Record<string, readonly string[]> = {
  shared: ['shared'],
  agent: ['agent', 'shared'],
  controller: ['controller', 'shared'],
  cli: ['cli', 'shared'],
}

/** Who may import each foreign package: files, or folders with their `/`. What is not listed nobody may import. */
const importers: Record<string, readonly string[]> = {
  '@fastify/rate-limit': ['controller/server.ts', 'controller/api/'],
  '@fastify/swagger': ['controller/server.ts', 'controller/api/'],
  '@fastify/type-provider-typebox': ['controller/server.ts', 'controller/api/', 'controller/auth/'],
  '@fastify/websocket': ['controller/server.ts', 'controller/api/'],
  '@kubernetes/client-node': ['controller/kubernetes/'],
  '@peculiar/x509': ['controller/pki/', 'agent/join/'],
  commander: ['cli/', 'agent/cli.ts', 'controller/cli.ts'],
  fastify: ['controller/server.ts', 'controller/api/', 'controller/auth/'],
  jose: ['controller/auth/oidc/', 'controller/mesh/standalone/'],
  'node-forge': ['controller/pki/'],
  'prom-client': ['controller/metrics.ts'],
  'reflect-metadata': ['controller/pki/', 'agent/join/'],
  ssh2: ['controller/delivery/ssh'],
  systeminformation: ['agent/host/facts.ts'],
  'tar-stream': ['agent/sidecar/', 'controller/backup-archive.ts', 'cli/artifact/'],
  typebox: ['shared/', 'agent/', 'controller/', 'cli/'],
  ws: ['agent/client/', 'controller/api/', 'controller/fleet/streams.ts'],
  yaml: [
    'agent/config-layers.ts',
    'controller/config.ts',
    'controller/kubernetes/',
    'controller/mesh/kubernetes/',
    'cli/',
  ],
}

/** Nothing of these is in the agent's executable. */
const notInAgent = ['@kubernetes/client-node', 'ssh2', 'fastify', 'node-forge', 'prom-client']

/** Names of files that decide: they take facts, give decisions, and touch nothing. */
const deciders = [
  'plan',
  'rules',
  'objects',
  'bundle',
  'lifecycle',
  'guard',
  'admission',
  'explain',
  'policy',
]

/** Built-in modules, or names of them, that compute and do nothing else. */
const pureBuiltins: Record<string, readonly string[] | 'all'> = {
  'node:path': 'all',
  'node:util': 'all',
  'node:url': 'all',
  'node:crypto': ['createHash', 'createHmac', 'timingSafeEqual', 'X509Certificate'],
  'node:net': ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress'],
}
const purePackages = ['typebox']

t.test('each side imports what it may', async (t) => {
  const wrong = eachImport(({ file, target, kind }) => {
    const side = file.split('/')[0] ?? ''
    return (
      kind === 'file' && target !== 'package.json' && !mayImport[side]?.includes(target.split('/')[0] ?? '')
    )
  })
  t.same(wrong, [])
})

t.test('every foreign package has its importers, and no others', async (t) => {
  const wrong = eachImport(
    ({ file, target, kind }) =>
      kind === 'package' &&
      !importers[target]?.some((place) => (place.endsWith('.ts') ? file === place : file.startsWith(place))),
  )
  t.same(wrong, [])
})

/** A test of the reader of imports, which holds some that lead nowhere. */
const samples = 'test/unit/house/import-graph.test.ts'

t.test('what is imported is declared, and what ships is imported', async (t) => {
  const declared = JSON.parse(textOf('package.json')) as Record<'dependencies' | 'devDependencies', object>
  const shipped = Object.keys(declared.dependencies)
  const all = [...shipped, ...Object.keys(declared.devDependencies)]
  const imported = (files: readonly string[]) =>
    new Set(
      files.flatMap((file) =>
        importsOf(file)
          .filter((one) => one.kind === 'package')
          .map((one) => one.target),
      ),
    )
  const product = imported(productFiles())
  t.same(
    [...product].filter((name) => !shipped.includes(name)),
    [],
    'the product imports what ships',
  )
  t.same(
    [...imported(filesOf('**/*.ts').filter((file) => file !== samples))].filter(
      (name) => !all.includes(name),
    ),
    [],
    'all is declared',
  )
  t.same(
    shipped.filter((name) => !product.has(name)),
    [],
    'nothing ships in vain',
  )
})

t.test('files that decide do no input or output, by themselves or by what they import', async (t) => {
  const files = productFiles().filter(isDecider)
  t.ok(files.length > 3, 'there are such files')
  const wrong = files.flatMap((file) =>
    [...reach(file)].filter(([reached]) => !isPure(reached)).map(([, route]) => route.join(' → ')),
  )
  t.same(wrong, [])
})

t.test('files that decide are synchronous, and are handed time, chance and environment', async (t) => {
  const ambient =
    /\b(Date\.now|new Date\(\)|Math\.random|process\.(env|argv|cwd)|fetch\(|setTimeout|setInterval|performance\.)/
  const wrong = productFiles()
    .filter(isDecider)
    .flatMap((file) => {
      const found = ambient.exec(codeOf(file)) ?? /\basync\s|\bawait\s|\bPromise\b/.exec(codeOf(file))
      return found === null ? [] : [`${file}: ${found[0]}`]
    })
  t.same(wrong, [])
})

t.test("the agent's executable stays small", async (t) => {
  const [main] = filesOf('agent/main.ts')
  if (main === undefined) return t.fail('there is no agent/main.ts')
  const reached = reach(main)
  t.same(
    notInAgent.flatMap((name) => reached.get(name)?.join(' → ') ?? []),
    [],
  )
})

t.test('no file imports itself, directly or by way of others', async (t) => {
  const files = filesOf('{agent,controller,cli,shared,packaging,demo,test}/**/*.ts')
  const edges = new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter((i) => i.kind === 'file' && !i.typeOnly)
        .map((i) => i.target),
    ]),
  )
  t.same(findCycle(edges), undefined)
})

/** Every import of the product that `isWrong`, as `file: target`. */
function eachImport(isWrong: (one: Import & { readonly file: string }) => boolean): readonly string[] {
  return productFiles().flatMap((file) =>
    importsOf(file)
      .filter((one) => isWrong({ ...one, file }))
      .map((one) => `${file}: ${one.target}`),
  )
}

function isDecider(file: string): boolean {
  return deciders.includes(file.replace(/^.*\/|\.ts$/g, ''))
}

function isPure(reached: string): boolean {
  if (reached.endsWith('.ts')) {
    return importsOf(reached).every(({ target, names, typeOnly }) => {
      const pure = pureBuiltins[target]
      return typeOnly || pure === undefined || pure === 'all' || names.every((name) => pure.includes(name))
    })
  }
  return reached.startsWith('node:') ? pureBuiltins[reached] !== undefined : purePackages.includes(reached)
}
