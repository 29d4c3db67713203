import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type BuiltArchive, buildArchive } from '../../../cli/artifact/archive.ts'
import { signArchive } from '../../../cli/artifact/signature.ts'
import { run } from '../../../packaging/tools/command.ts'
import type { ArtifactView } from '../../../shared/api/artifact.ts'
import type { OperatorCreated, PoolView, Role } from '../../../shared/api/operator.ts'
import type { AgentStatus } from '../../../shared/api/stream.ts'
import type { FakeAgent } from '../../fakes/agent.ts'
import { startController, type TestController } from '../../fakes/controller.ts'
import { runMooring } from './command.ts'

const folder = await mkdtemp(path.join(tmpdir(), 'mooring-served-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const [keyFile, publicFile] = [path.join(folder, 'key.pem'), path.join(folder, 'pub.pem')]
await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
await writeFile(publicFile, publicKey.export({ type: 'spki', format: 'pem' }))

/** An archive with programs that no gzip makes small: it is sent in several pieces. */
async function archive(version: string, bytes = 5_000_000): Promise<BuiltArchive> {
  const from = await mkdtemp(path.join(folder, 'from-'))
  const program = (seed: string, length: number) => {
    const header = Buffer.alloc(64)
    header.write('\x7fELF', 'latin1')
    header.writeUInt16LE(62, 18)
    const blocks = Array.from({ length: Math.ceil(length / 64) }, (_, n) =>
      createHash('sha512').update(`${seed}${n}`).digest(),
    )
    return Buffer.concat([header, ...blocks])
  }
  const files = {
    'bin/envoy': path.join(from, 'envoy'),
    'bin/pilot-agent': path.join(from, 'pilot-agent'),
    'envoy_bootstrap_tmpl.json': path.join(from, 'template'),
  }
  await writeFile(files['bin/envoy'], program(`envoy ${version}`, bytes))
  await writeFile(files['bin/pilot-agent'], program('pilot-agent', 1000))
  await writeFile(files['envoy_bootstrap_tmpl.json'], '{ "static_resources": {} }')
  return buildArchive(version, files, path.join(folder, `archives-${version}`))
}

async function setUp(t: Test, config: Readonly<Record<string, unknown>> = {}): Promise<TestController> {
  const house = await startController({ config })
  t.teardown(() => house.close())
  await writeFile(path.join(folder, 'ca.pem'), house.announcement.ca)
  return house
}

async function operatorOf(house: TestController, role: Role, pools: readonly string[]): Promise<string> {
  const made = await house.call<OperatorCreated>('POST', '/v1/operators', { name: `a-${role}`, role, pools })
  return made.json().token
}

/** Runs `mooring` in this process as the controller's administrator, or who has `token`. */
async function mooring(house: TestController, argv: readonly string[], token = house.admin) {
  await writeFile(path.join(folder, 'token'), token, { mode: 0o600 })
  const env = {
    MOORING_URL: house.url,
    MOORING_CA_FILE: path.join(folder, 'ca.pem'),
    MOORING_TOKEN_FILE: path.join(folder, 'token'),
  }
  return runMooring(argv, { home: folder, env })
}

const listed = async (house: TestController) =>
  (await house.call<ArtifactView[]>('GET', '/v1/artifacts')).json()
const kept = async (house: TestController) =>
  (await readdir(path.join(house.dataDir, 'artifacts'))).toSorted()

interface PieceQuery {
  readonly version?: string
  readonly size: number
  readonly offset?: number
}

/** One piece, as any program might send it; `cutAt`: the connection breaks after so many of its bytes. */
function put(
  house: TestController,
  sha256: string,
  { version = '9.9.9', size, offset = 0 }: PieceQuery,
  bytes: Buffer,
  cutAt?: number,
): Promise<{ status: number; code: string }> {
  const query = `version=${version}&arch=amd64&size=${size}&offset=${offset}`
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${house.url}/v1/artifacts/${sha256}?${query}`,
      {
        method: 'PUT',
        ca: house.announcement.ca,
        agent: false,
        headers: {
          authorization: `Bearer ${house.admin}`,
          'content-type': 'application/octet-stream',
          'content-length': bytes.length,
        },
      },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.on('end', () => {
          const { code = '' } = JSON.parse(text) as { code?: string }
          resolve({ status: response.statusCode ?? 0, code })
        })
      },
    )
    outgoing.on('error', reject)
    if (cutAt === undefined) outgoing.end(bytes)
    else outgoing.write(bytes.subarray(0, cutAt), () => outgoing.destroy(new Error('cut')))
  })
}

const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

t.test('added, listed, handed out, kept over a restart, removed', async (t) => {
  let house = await setUp(t)
  const one = await archive('1.29.1')
  t.match(await mooring(house, ['artifact', 'list']), { code: 0, out: 'The controller serves no archives.' })
  t.match(await mooring(house, ['artifact', 'add', one.file]), {
    code: 0,
    out: 'sidecar 1.29.1 for amd64 is served',
    err: '100 % of 5 MB',
  })
  const view = { version: '1.29.1', arch: 'amd64', sha256: one.sha256, size: one.size }
  t.match(await listed(house), [{ ...view, source: 'upload', offered: true, vms: 0 }])
  t.same(await kept(house), [`${one.sha256}.tar.gz`, 'index.json'])
  t.match(await mooring(house, ['artifact', 'add', one.file]), { code: 0 }, 'twice is once')
  t.equal((await listed(house)).length, 1)

  house = await house.restart()
  t.teardown(() => house.close())
  t.match(await listed(house), [view], 'the next start knows it')
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const { bundle } = await agent.join()
  t.same(bundle.sidecar.artifacts, [view])
  const served = await agent.call('GET', `/v1/sidecar/${one.sha256}`, { range: 'bytes=0-1' })
  t.match(served, { status: 206, headers: { 'content-range': `bytes 0-1/${one.size}` } })

  t.match(await mooring(house, ['artifact', 'remove', '1.29.1']), { code: 1, err: /ARTIFACT_IN_USE/ })
  t.match(await listed(house), [{ ...view, vms: 1, offered: true }], 'it is still there')
  await house.call('DELETE', `/v1/vms/${agent.vm}?now=true`)
  const removed = async () => (await mooring(house, ['artifact', 'remove', '1.29.1'])).code === 0
  while (!(await removed())) await sleep(50)
  t.same(await listed(house), [])
  t.same(await kept(house), ['index.json'], 'nothing is left over')
  t.match(await mooring(house, ['artifact', 'remove', '1.29.1']), { code: 1, err: /NOT_FOUND/ })
  const records = (
    await house.call<{ action: string; outcome: string }[]>('GET', '/v1/audit?limit=1000')
  ).json()
  const actions = records.filter(({ action }) => action.startsWith('artifact.'))
  t.equal(actions.filter(({ action }) => action === 'artifact.add').length, 1, 'not a record for each piece')
  t.match(actions[1], { action: 'artifact.delete', outcome: 'denied' })
  t.match(actions.at(-1), { action: 'artifact.delete', outcome: 'done' })
})

t.test('a new one goes through the paced rollout of its pool', async (t) => {
  const old = await archive('1.0.0', 1000)
  const house = await setUp(t, {
    sidecar: { artifacts: [{ version: '1.0.0', arch: 'amd64', file: old.file }] },
  })
  await house.applyPool('web')
  const { token } = await house.token('web', { uses: 2 })
  const conditions: AgentStatus['conditions'] = ['SidecarInstalled', 'SidecarReady'].map((type) => ({
    ...{ type, status: 'True', reason: 'Done', message: '' },
  }))
  const agents: FakeAgent[] = []
  for (const address of ['10.0.0.1', '10.0.0.2']) {
    const agent = await house.agent({ pool: 'web', token, address })
    const { bundle } = await agent.join()
    t.equal(bundle.sidecar.artifacts[0]?.version, '1.0.0')
    const status = { sidecarVersion: '1.0.0', bundleRevision: bundle.revision, conditions }
    await agent.open({ health: 'healthy', ...status })
    t.teardown(() => agent.close())
    agents.push(agent)
  }
  while ((await house.vms()).some(({ phase }) => phase !== 'ready')) await sleep(50)

  const next = await archive('1.0.1', 1000)
  t.match(await mooring(house, ['artifact', 'add', next.file]), { code: 0 })
  const versions = async () =>
    (await Promise.all(agents.map((agent) => agent.bundle()))).map(
      ({ sidecar }) => sidecar.artifacts[0]?.version,
    )
  while (!(await versions()).includes('1.0.1')) await sleep(50)
  t.same((await versions()).toSorted(), ['1.0.0', '1.0.1'], 'one VM at a time')
  const pool = (await house.call<PoolView>('GET', '/v1/pools/web')).json()
  t.match(pool.rollout, { version: '1.0.1', state: 'running', total: 2 })
  t.match(await listed(house), [
    { version: '1.0.1', source: 'upload', offered: true, vms: 1 },
    { version: '1.0.0', source: 'configuration', offered: false, vms: 2 },
  ])
  const taken = await mooring(house, ['artifact', 'remove', '1.0.0'])
  t.match(taken, { code: 1, err: /ARTIFACT_REFUSED.*configuration/s }, "the configuration's is not ours")
})

t.test('what is not what it says is refused, and leaves nothing', async (t) => {
  const house = await setUp(t)
  const one = await archive('1.29.1', 1000)
  const bytes = await readFile(one.file)
  const size = bytes.length
  const refused = { status: 422, code: 'ARTIFACT_REFUSED' }
  t.match(await put(house, 'a'.repeat(64), { size }, bytes), refused, 'another digest')
  t.match(await put(house, sha256Of(Buffer.from('plain')), { size: 5 }, Buffer.from('plain')), refused)
  t.match(await put(house, one.sha256, { size, offset: 7 }, bytes), { status: 409, code: 'CONFLICT' })
  t.match(await put(house, one.sha256, { size: size - 1 }, bytes), { status: 409, code: 'CONFLICT' })
  t.match(await put(house, one.sha256, { size: 2 ** 40 }, bytes), { status: 400, code: 'REQUEST_INVALID' })
  const large = Buffer.concat([bytes, Buffer.alloc(5_000_000)])
  t.match(await put(house, sha256Of(large), { size: large.length }, large), { code: 'REQUEST_TOO_LARGE' })
  const json = await house.call('PUT', `/v1/artifacts/${one.sha256}?version=1&arch=amd64&size=1&offset=0`, {})
  t.match(json, { status: 415 })
  t.match(await mooring(house, ['artifact', 'add', publicFile, '--sidecar-version', '1']), {
    code: 1,
    err: /ARTIFACT_INVALID/,
  })
  t.match(await mooring(house, ['artifact', 'add', publicFile]), { code: 2, err: /--sidecar-version/ })
  t.same(await listed(house), [])

  t.match(await mooring(house, ['artifact', 'add', one.file]), { code: 0 })
  const other = await archive('other', 1000)
  const clash = await mooring(house, ['artifact', 'add', other.file, '--sidecar-version', '1.29.1'])
  t.match(clash, { code: 1, err: /ARTIFACT_REFUSED.*version of its own/s }, 'a version means one content')
  t.same(await kept(house), [`${one.sha256}.tar.gz`, 'index.json'])
})

t.test('a cut upload leaves nothing that is served, and is taken up again', async (t) => {
  let house = await setUp(t)
  const one = await archive('1.29.1')
  const bytes = await readFile(one.file)
  const size = bytes.length
  const [first, second] = [bytes.subarray(0, 3_000_000), bytes.subarray(3_000_000, 4_500_000)]
  const version = '1.29.1'
  t.match(await put(house, one.sha256, { size, version }, first), { status: 200 })
  await t.rejects(put(house, one.sha256, { size, version, offset: first.length }, second, 1_000_000), /cut/)
  t.same(await listed(house), [])
  const again = { size, version, offset: first.length }
  t.match(await put(house, one.sha256, again, second), { status: 200 }, 'the piece that was cut, once more')
  t.match(
    await put(house, one.sha256, again, second),
    { status: 200 },
    'and again, as if its answer was lost',
  )
  t.match(
    await put(house, sha256Of(first), { size }, first),
    { status: 503, code: 'UNAVAILABLE' },
    'one at a time',
  )

  house = await house.restart()
  t.teardown(() => house.close())
  t.same(await kept(house), [], 'a crash leaves no half archive')
  const rest = { size, version, offset: first.length + second.length }
  t.match(await put(house, one.sha256, rest, bytes.subarray(rest.offset)), { status: 409, code: 'CONFLICT' })
  t.match(await mooring(house, ['artifact', 'add', one.file]), { code: 0 }, 'from the start')
  t.equal((await listed(house))[0]?.sha256, one.sha256)
})

t.test('with trusted keys, only what they signed is taken', async (t) => {
  const house = await setUp(t, { sidecar: { trustedKeys: [publicFile] } })
  const one = await archive('1.29.1', 1000)
  const add = () => mooring(house, ['artifact', 'add', one.file])
  t.match(await add(), { code: 1, err: /ARTIFACT_REFUSED.*not signed/s })
  const stranger = path.join(folder, 'stranger.pem')
  const other = generateKeyPairSync('ed25519').privateKey
  await writeFile(stranger, other.export({ type: 'pkcs8', format: 'pem' }))
  await signArchive(one.file, one.sha256, stranger)
  t.match(await add(), { code: 1, err: /ARTIFACT_REFUSED.*none of sidecar.trustedKeys/s })
  await signArchive(one.file, 'f'.repeat(64), keyFile)
  t.match(await add(), { code: 1, err: /ARTIFACT_REFUSED/ }, 'the signature of another archive')
  t.same(await listed(house), [])
  await signArchive(one.file, one.sha256, keyFile)
  t.match(await add(), { code: 0 })
  await rm(`${one.file}.sig`)
  await t.rejects(startController({ config: { sidecar: { trustedKeys: [keyFile.replace('key', 'no')] } } }), {
    code: 'CONFIG_INVALID',
  })
})

t.test('it takes an administrator of all pools', async (t) => {
  const house = await setUp(t)
  const one = await archive('1.29.1', 1000)
  await house.applyPool('web')
  for (const [role, pools] of [
    ['operator', ['*']],
    ['admin', ['web']],
  ] as const) {
    const token = await operatorOf(house, role, pools)
    t.match(await mooring(house, ['artifact', 'add', one.file], token), { code: 3, err: /FORBIDDEN/ }, role)
  }
  t.same(await kept(house), [])
})

t.test('a full disk is said, and the controller goes on', async (t) => {
  const dataDir = await mkdtemp(path.join(folder, 'data-'))
  const place = path.join(dataDir, 'artifacts')
  await mkdir(place)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'mooring-test', place])
  t.teardown(() => run('umount', ['--lazy', place]))
  const house = await startController({ dataDir })
  t.teardown(() => house.close())
  await writeFile(path.join(folder, 'ca.pem'), house.announcement.ca)
  const one = await archive('1.29.1')
  t.match(await mooring(house, ['artifact', 'add', one.file]), { code: 1, err: /DISK_FULL/ })
  t.same(await kept(house), [], 'the room is free again')
  t.same(await listed(house), [])
  const small = await archive('1.29.2', 1000)
  t.match(await mooring(house, ['artifact', 'add', small.file]), { code: 0 })
  t.equal(sha256Of(await readFile(path.join(place, `${small.sha256}.tar.gz`))), small.sha256)
})
