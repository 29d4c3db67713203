import t from 'tap'
import { refOf } from '../../../controller/mesh/objects.ts'
import { call } from '../../world/call.ts'
import { waitFor } from '../../world/waiting.ts'
import { createScene } from './scene.ts'
import { entryOf, webUrl } from './shop.ts'

t.test('when istiod dies no sidecar loses an endpoint, and all come back to the next one', async (t) => {
  const { network, mesh, addMember } = await createScene(t, 'mesh-restart')
  const web = await addMember('web-a', 'web')
  const client = await addMember('client-a', 'client')
  await waitFor(async () => (await call(client.vm, webUrl)).status === 200, { what: 'the first 200' })

  const watcher = client.vm.spawn(process.execPath, ['-e', watchEndpoints], {
    gid: 1337,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let report = ''
  watcher.stdout?.on('data', (chunk) => {
    report += chunk
  })
  await waitFor(() => report.includes('watching'), { what: 'the watcher' })

  const part = async (name: string) => (await mesh.health()).find(({ part }) => part === name)
  const seen = new Set<number>()
  for (let round = 1; round <= 3; round += 1) {
    const pid = await mesh.istiodPid()
    seen.add(pid)
    process.kill(pid, 'SIGKILL')
    await waitFor(async () => (await part('gate'))?.ok === false, { what: 'the gate to close', everyMs: 1 })
    t.equal((await call(client.vm, webUrl)).status, 200, 'calls go on meanwhile')
    await waitFor(async () => (await part('gate'))?.ok, { what: 'the gate to open again' })
    t.match((await part('istiod'))?.detail, `${round} restarts`)
    // Only a sidecar that has come back hears of this.
    const next = { name: `late-${round}`, address: `10.77.0.${200 + round}` }
    await mesh.apply(entryOf(next, 'open'))
    await waitFor(async () => (await client.sidecar.admin('/clusters')).includes(`${next.address}:8080`), {
      what: 'the sidecar to hear of a new endpoint',
    })
    await mesh.remove(refOf(entryOf(next, 'open')))
    await waitFor(async () => !(await client.sidecar.admin('/clusters')).includes(`${next.address}:8080`), {
      what: 'and of its end',
    })
  }
  t.equal(seen.size, 3)
  t.equal(await mesh.istiodPid().then((pid) => seen.has(pid)), false)
  watcher.stdin?.end()
  await waitFor(() => /least \d+/.test(report), { what: "the watcher's report" })
  const [, least, looks] = /least (\d+) in (\d+) looks/.exec(report) ?? []
  t.equal(Number(least), 1, report)
  t.ok(Number(looks) > 20, report)
  t.ok(network.vms.includes(web.vm))
})

t.test('from a VM only the gate can be reached', async (t) => {
  const { network, mesh } = await createScene(t, 'mesh-ports')
  const { stdout } = await network.host.exec('ss', ['-Hltn'])
  const listeners = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/)[3] ?? '')
  const open = listeners.filter((address) => !/^(127\.0\.0\.1|\[::1\]):/.test(address))
  t.same(open.sort(), ['0.0.0.0:15012', '[::]:15012'])
  const ports = listeners.map((address) => Number(address.split(':').at(-1)))
  t.ok(ports.length >= 6, `${ports.length} listeners: gate twice, key set, four of istiod`)
  const udp = (await network.host.exec('ss', ['-Hlun'])).stdout.trim()
  t.equal(udp, '')

  const vm = await network.addVm('curious')
  const { address, port } = (await mesh.facts()).istiod
  const wanted = [...new Set([...ports, 8080, 9876, 15010, 15012, 15014, 15017])]
  const tried = await vm.exec(process.execPath, ['-e', tryPorts, address, ...wanted.map(String)])
  const reached = JSON.parse(tried.stdout) as number[]
  t.same(reached, [port])
})

/** Looks without pause at how many endpoints the sidecar knows of the service. */
const watchEndpoints = `
let [least, looks, done] = [Infinity, 0, false]
process.stdin.on('end', () => { done = true }).resume()
async function look() {
  const text = await (await fetch('http://127.0.0.1:15000/clusters?filter=web.shop')).text()
  const count = text.split('\\n').filter((l) => /^outbound\\|80\\|\\|web.shop.internal::10.*::hostname::/.test(l)).length
  least = Math.min(least, count)
  looks += 1
}
(async () => {
  await look()
  console.log('watching')
  while (!done) { await look(); await new Promise((r) => setTimeout(r, 20)) }
  console.log('least ' + least + ' in ' + looks + ' looks')
})()
`

const tryPorts = `
const [host, ...ports] = process.argv.slice(1)
const attempt = (port) => new Promise((resolve) => {
  const socket = require('node:net').connect({ host, port: Number(port), timeout: 3000 })
  socket.on('connect', () => { socket.destroy(); resolve(true) })
  socket.on('timeout', () => { socket.destroy(); resolve(false) })
  socket.on('error', () => resolve(false))
})
;(async () => {
  const reached = []
  for (const port of ports) if (await attempt(port)) reached.push(Number(port))
  console.log(JSON.stringify(reached))
})()
`
