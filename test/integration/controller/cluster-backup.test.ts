import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { pack } from 'tar-stream'
import { backUpCluster, type ClusterBackupDeps } from '../../../controller/cluster-backup.ts'
import { restoreCluster } from '../../../controller/cluster-restore.ts'
import type { KubernetesObject } from '../../../controller/kubernetes/resource.ts'
import { createAuthority } from '../../../controller/pki/authority.ts'
import { createAuthoritySecret } from '../../../controller/pki/authority-secret.ts'
import { pools } from '../../../controller/store/kubernetes/resources.ts'
import { systemClock as clock } from '../../../shared/clock.ts'
import { silentLog as log } from '../../../shared/log.ts'
import { startApiServer } from '../../fakes/api-server.ts'
import { createTestAuthority } from '../../fakes/authority.ts'
import { loopbackPool } from '../../fakes/controller.ts'
import { clientOf, fullRecord, openKubernetesStore } from '../../fakes/kubernetes-store.ts'

const namespace = 'mooring-system'
const random = Math.random

/** A cluster in memory, and what a controller has of it. */
async function cluster(t: Test) {
  const server = await startApiServer(await createTestAuthority())
  t.teardown(() => server.close())
  const client = clientOf(t, server.kubeconfig)
  const deps: ClusterBackupDeps = {
    ...{ client, namespace, clock, release: 'mooring', version: '1.0.0' },
    signal: AbortSignal.timeout(60_000),
  }
  const keep = createAuthoritySecret({ client, namespace, release: 'mooring', clock, log, random })
  const authority = () => createAuthority({ keep, clock, log, random })
  const store = async () => {
    const opened = await openKubernetesStore(client)
    t.teardown(() => opened.close())
    return opened
  }
  return { server, client, deps, authority, store }
}

const token = {
  ...{ pool: 'web', hash: 'ab'.repeat(32), uses: 3, usedBy: [], createdAt: 1, expiresAt: 2_000_000_000_000 },
  createdBy: 'operator:ada',
}
const pool = {
  spec: { ...loopbackPool, namespace: 'shop' },
  createdAt: 1_800_000_000_000,
  updatedAt: 1_800_000_000_000,
}

async function filled(t: Test) {
  const made = await cluster(t)
  const { pin } = await made.authority()
  const store = await made.store()
  await store.commit([
    { put: 'pool', name: 'web', value: pool },
    { put: 'token', name: 'tok-1', value: token },
    { put: 'vm', name: 'vm-1', value: { ...fullRecord, pool: 'web' } },
  ])
  return { ...made, pin }
}

t.test('an empty cluster has it all back: authority, tokens, pools, and VMs as they were', async (t) => {
  const { deps, pin, store } = await filled(t)
  const file = join(t.testdir(), 'backup.tar.gz')
  t.equal(await backUpCluster(file, deps), 4)
  t.equal((await stat(file)).mode & 0o777, 0o600, 'it holds keys')
  await t.rejects(backUpCluster(file, deps), { code: 'CONFIG_INVALID', detail: /exists/ })

  const other = await cluster(t)
  const asideFolder = dirname(file)
  t.same(await restoreCluster(file, { ...other.deps, force: false, asideFolder }), { objects: 4 })
  t.equal((await other.authority()).pin, pin)
  const [before, after] = [await store(), await other.store()]
  for (const kind of ['pool', 'token', 'vm'] as const) {
    const values = async (from: typeof before) =>
      (await from.list(kind)).map(({ name, value }) => [name, value])
    t.same(await values(after), await values(before), kind)
  }
  t.same(await restoreCluster(file, { ...other.deps, force: false, asideFolder }), { objects: 4 }, 'again')
  t.same(await readdir(asideFolder), ['backup.tar.gz'])
})

t.test('through standard streams too', async (t) => {
  const { deps } = await filled(t)
  const stream = new PassThrough()
  const read = buffer(stream)
  await backUpCluster(stream, deps)
  const other = await cluster(t)
  const input = new PassThrough()
  input.end(await read)
  const { objects } = await restoreCluster(input, { ...other.deps, force: false, asideFolder: '/nowhere' })
  t.equal(objects, 4)
})

t.test('what is there and differs is refused, or set aside first', async (t) => {
  const { deps } = await filled(t)
  const folder = t.testdir()
  const file = join(folder, 'backup.tar.gz')
  await backUpCluster(file, deps)
  const other = await cluster(t)
  const fresh = await other.authority()
  const options = { ...other.deps, asideFolder: folder }
  await t.rejects(restoreCluster(file, { ...options, force: false }), {
    code: 'CONFIG_INVALID',
    detail: /1 objects are there and differ, the first is secrets mooring-system\/mooring-authority/,
  })
  t.equal((await (await other.store()).list('vm')).length, 0, 'a refusal changes nothing')
  const { setAside = '' } = await restoreCluster(file, { ...options, force: true })
  t.not((await other.authority()).pin, fresh.pin)
  await restoreCluster(setAside, { ...options, force: true })
  t.equal((await other.authority()).pin, fresh.pin, 'what was there can be put back')
})

t.test(
  'beside a controller that runs: what is the same is not touched, and a clash is tried again',
  async (t) => {
    const { deps, client, server } = await filled(t)
    const folder = t.testdir()
    const file = join(folder, 'backup.tar.gz')
    await backUpCluster(file, deps)
    const at = { namespace: 'shop', name: 'web' }
    const before = await client.get<KubernetesObject & { spec?: object }>(pools, at)
    if (before === undefined) return t.fail('no pool')
    await client.replace(pools, { ...before, spec: { ...before.spec, labels: { tier: 'later' } } })
    let clashes = 3
    server.faults.refuse = (method, path) => {
      if (method !== 'PUT' || !path.endsWith('/pools/web') || clashes === 0) return undefined
      clashes -= 1
      return 409
    }
    const from = server.requests.length
    t.match(await restoreCluster(file, { ...deps, force: true, asideFolder: folder }), { objects: 4 })
    t.equal(clashes, 0)
    t.same((await client.get<typeof before>(pools, at))?.spec, before.spec)
    t.same(
      server.requests.slice(from).filter((one) => /^(POST|PUT) .*(secrets|virtualmachines)/.test(one)),
      [],
      'a VM that runs keeps its status',
    )
  },
)

t.test('a namespace that is missing is named', async (t) => {
  const { deps } = await filled(t)
  const file = join(t.testdir(), 'backup.tar.gz')
  await backUpCluster(file, deps)
  const other = await cluster(t)
  other.server.faults.refuse = (method, path) => (method === 'POST' && /shop/.test(path) ? 404 : undefined)
  await t.rejects(restoreCluster(file, { ...other.deps, force: false, asideFolder: '/nowhere' }), {
    code: 'NOT_FOUND',
    detail: /namespace shop/,
  })
  other.server.faults.refuse = () => undefined
  t.ok(
    await restoreCluster(file, { ...other.deps, force: false, asideFolder: '/nowhere' }),
    'and it is repeated',
  )
})

t.test('what is no backup of a cluster writes nothing', async (t) => {
  const file = join(t.testdir(), 'backup.tar.gz')
  const { deps } = await filled(t)
  await backUpCluster(file, deps)
  const good = await readFile(file)
  const mark = '{"format":1,"of":"cluster"}'
  const secret = JSON.stringify({ metadata: { name: 'x', namespace: 'kube-system' }, data: {} })
  const wrong: Record<string, Buffer> = {
    'not an archive': Buffer.from('x'.repeat(1000)),
    'cut short': good.subarray(0, good.length / 2),
    'of a folder': await archive({ 'mooring-backup.json': '{"format":1}', 'controller.sqlite': 'x' }),
    'of a later format': await archive({ 'mooring-backup.json': '{"format":2,"of":"cluster"}' }),
    'another kind of object': await archive({
      'mooring-backup.json': mark,
      'cluster/roles/kube-system/x.json': secret,
    }),
    'an object that is not what its name says': await archive({
      'mooring-backup.json': mark,
      'cluster/secrets/mooring-system/x.json': secret,
    }),
    'a Secret of somebody else': await archive({
      'mooring-backup.json': mark,
      'cluster/secrets/kube-system/x.json': secret,
    }),
    'without an authority': await archive({ 'mooring-backup.json': mark }),
  }
  const other = await cluster(t)
  for (const [what, content] of Object.entries(wrong)) {
    await writeFile(file, content)
    const given = restoreCluster(file, { ...other.deps, force: true, asideFolder: '/nowhere' })
    await t.rejects(given, { code: 'CONFIG_INVALID' }, what)
  }
  t.same(
    other.server.requests.filter((one) => /^(POST|PUT|PATCH|DELETE)/.test(one)),
    [],
  )
})

async function archive(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content)
  tar.finalize()
  const parts: Uint8Array[] = []
  for await (const part of tar as AsyncIterable<Uint8Array>) parts.push(part)
  return gzipSync(Buffer.concat(parts))
}
