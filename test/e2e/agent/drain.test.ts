import { fileURLToPath } from 'node:url'
import t from 'tap'
import { bakeSidecar } from '../../testbed/bake.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { startIstiod, until } from './istiod.ts'
import { bundleFor, poolObjects, startDriver } from './sidecar-vm.ts'

t.setTimeout(15 * 60_000)
const parts = await ensureParts({ progress: silentProgress })
const baked = await bakeSidecar({ parts })
const network = await createNetwork({ name: 'drain' })
t.teardown(() => network.close())
const istiod = await startIstiod(network, parts)
const [web, client] = await Promise.all([network.addVm('web'), network.addVm('client')])
await istiod.apply(poolObjects('web', 'web.mesh', [web]))
const app = fileURLToPath(new URL('../../testbed/apps/app-server.ts', import.meta.url))
web.spawn(process.execPath, [app, '--name', 'web', '--bind', '127.0.0.1'], { stdio: 'ignore' })
const driver = await startDriver(web, baked.path)
const peer = await startDriver(client, baked.path)
const bundle = await bundleFor(web, { istiod, baked, app: 'web' })
await driver.call('converge', { bundle })
await peer.call('converge', { bundle: await bundleFor(client, { istiod, baked, app: 'client' }) })

/** Runs a program in the client's VM; its input keeps a connection open. */
function inClient(script: string) {
  const child = client.spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    said: (text: string) => until(async () => output.includes(text)),
    end: async () => {
      child.stdin?.end()
      await ended
      return output
    },
  }
}

const get = (path: string) => `
  const http = require('node:http'); const agent = new http.Agent({ keepAlive: true })
  http.get({ host: 'web.mesh', port: 80, path: '${path}', agent }, (r) => {
    console.log('status', r.statusCode); let n = 0
    r.on('data', (c) => { n += c.length }); r.on('end', () => console.log('end', n, r.complete)) ; r.on('error', (e) => console.log(e.code))
  }).on('error', (e) => console.log(e.code))
  process.stdin.resume().on('end', () => process.exit())`

const curl = async () =>
  (await client.exec('curl', ['-s', '-m', '20', '-o', '/dev/null', '-w', '%{http_code}', 'http://web.mesh/']))
    .stdout
await until(async () => (await curl()) === '200')

/** A sidecar that was not drained yet. */
let generation = 0
async function freshSidecar(): Promise<void> {
  const labels = { app: 'web', generation: String(++generation) }
  await driver.call('converge', { bundle: { ...bundle, workload: { ...bundle.workload, labels } } })
  await until(async () => (await curl()) === '200')
}

t.test('idle keep-alive connections of peers hold nothing back', async (t) => {
  const idle = inClient(get('/'))
  await idle.said('end')
  const result = await driver.call('drain', { quietMs: 500, deadlineMs: 120_000 })
  t.same(result, { result: 'quiet', openRequests: 0, openConnections: 0 })
  await idle.end()
})

t.test('a drained sidecar still answers who comes late', async (t) => {
  t.equal(await curl(), '200')
})

t.test('an open request ends before the drain does, whole', async (t) => {
  await freshSidecar()
  const slow = inClient(get('/download?seconds=15'))
  await slow.said('status 200')
  t.match(await driver.call('inbound'), { activeRequests: 1 })
  const since = driver.events.length
  const result = await driver.call('drain', { quietMs: 300, deadlineMs: 120_000 })
  t.same(result, { result: 'quiet', openRequests: 0, openConnections: 0 })
  const stages = driver.events.slice(since).filter((event) => event.event === 'drain')
  t.ok(stages.some((event) => event.stage === 'finishing' && event.openRequests === 1))
  t.match(await slow.end(), /end \d+ true/)
})

t.test('while requests keep coming the drain waits, until its deadline', async (t) => {
  await freshSidecar()
  const steady = inClient(`
    const http = require('node:http'); const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    setInterval(() => http.get({ host: 'web.mesh', path: '/', agent }, (r) => { r.resume(); console.log(r.statusCode) }).on('error', () => console.log('failed')), 50)
    process.stdin.resume().on('end', () => process.exit())`)
  await steady.said('200')
  // Who sends every 50 ms is not quiet for as long as that, on a machine that stalls either.
  const result = await driver.call('drain', { quietMs: 8_000, deadlineMs: 9_000 })
  t.equal(result.result, 'deadline')
  t.notMatch(await steady.end(), 'failed')
})

t.test('an open TCP connection counts, an ended one does not', async (t) => {
  await freshSidecar()
  const tcp = inClient(`
    const s = require('node:net').connect(82, 'web.mesh'); s.on('data', (d) => console.log(String(d))); s.write('hello\\n')
    process.stdin.resume().on('end', () => s.end(() => process.exit()))`)
  await tcp.said('web hello')
  t.match(await driver.call('inbound'), { activeRequests: 0, activeConnections: 1 })
  const cut = await driver.call('drain', { quietMs: 300, deadlineMs: 1500 })
  t.same(cut, { result: 'deadline', openRequests: 0, openConnections: 1 })
  await tcp.end()
  const result = await driver.call('drain', { quietMs: 300, deadlineMs: 120_000 })
  t.same(result, { result: 'quiet', openRequests: 0, openConnections: 0 })
})

t.test('a gRPC stream is an open request as long as it lasts', async (t) => {
  await freshSidecar()
  const stream = inClient(`
    const c = require('node:http2').connect('http://web.mesh:81'); c.on('error', () => {})
    const r = c.request({ ':method': 'POST', ':path': '/mooring.test.Stream/Ticks', 'content-type': 'application/grpc', te: 'trailers' })
    const m = Buffer.from(JSON.stringify({ intervalMs: 100, ms: 60000 })); const f = Buffer.alloc(5 + m.length); f.writeUInt32BE(m.length, 1); m.copy(f, 5)
    r.on('data', () => console.log('tick')); r.on('error', () => {}); r.write(f)
    process.stdin.resume().on('end', () => process.exit())`)
  await stream.said('tick')
  const cut = await driver.call('drain', { quietMs: 300, deadlineMs: 1500 })
  t.same(cut, { result: 'deadline', openRequests: 1, openConnections: 0 })
  await stream.end()
  await until(async () => (await driver.call('inbound')).activeRequests === 0)
  t.match(await driver.call('drain', { quietMs: 300, deadlineMs: 120_000 }), { result: 'quiet' })
})

t.test('a request that does not come through a declared port is counted too', async (t) => {
  await freshSidecar()
  // Such a port has no service whose callers would know to use mutual TLS.
  const permissive = poolObjects('web', 'web.mesh', [web]).map((object) =>
    'kind' in object && object.kind === 'PeerAuthentication'
      ? { ...object, spec: { mtls: { mode: 'PERMISSIVE' } } }
      : object,
  )
  await istiod.apply(permissive)
  const before = await driver.call('inbound')
  const undeclared = fileURLToPath(new URL('../../testbed/apps/app-server.ts', import.meta.url))
  web.spawn(
    process.execPath,
    [undeclared, '--name', 'other', '--http', '8090', '--http2', 'off', '--tcp', 'off'],
    {
      stdio: 'ignore',
    },
  )
  await until(async () => {
    const { stdout } = await client.exec('curl', ['-s', '-m', '20', `http://${web.address}:8090/`])
    return stdout.includes('other')
  })
  t.ok((await driver.call('inbound')).arrived > before.arrived)
})

t.test('a sidecar that dies during the drain ends it', async (t) => {
  await freshSidecar()
  const running = driver.call('drain', { quietMs: 60_000, deadlineMs: 60_000 })
  await driver.event((event) => event.event === 'drain')
  await driver.call('undo')
  t.match(await running, { result: 'quiet', openRequests: 0, openConnections: 0 })
})
