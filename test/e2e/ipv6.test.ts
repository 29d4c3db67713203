import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { call } from '../world/call.ts'
import { entryOf } from '../world/entries.ts'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { opened, watchEndpoints } from '../world/watch/peer.ts'
import { createWorld, echo } from '../world/world.ts'

t.test('VMs serve on IPv6: reached by mutual TLS, and they leave without a failed request', async (t) => {
  const world = await createWorld({
    name: 'ipv6',
    controller: { dualStack: true },
    servers: {
      address: { cidr: 'fd77::/64' },
      join: { methods: ['token', 'renew'], cidrs: ['10.77.0.0/24', 'fd77::/64'] },
    },
  })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')

  // One joins over IPv4 and serves on IPv6; the other has no IPv4 address at all.
  const both = await world.boot('both', 'servers')
  const only = await world.prepare('only', 'servers', {
    config: { controller: { url: world.controller.url6, pin: world.controller.pin } },
  })
  await only.vm.exec('ip', ['-4', 'addr', 'flush', 'dev', 'eth0'])
  // Without IPv4 there is no way to a name server of IPv4 either.
  await writeFile(join(only.vm.root, 'etc/resolv.conf'), `nameserver ${world.network.hostAddress6}\n`)
  await only.startApp({ bind: '::' })
  await only.startAgent()
  await only.waitPhase('ready')
  const servers = [both, only]
  const endpoints = watchEndpoints(caller.vm, { filter: 'echo' })
  t.teardown(() => endpoints.stop())

  await t.test('where sidecars reach istiod, `[::]` is both families', async (t) => {
    for (const host of [world.network.hostAddress, `[${world.network.hostAddress6}]`]) {
      const { error } = await call(world.network.host, `http://${host}:15012/`)
      t.match(error, /^(ECONNRESET|HPE_\w+|EPIPE)$/, `${host} takes the connection, and no plain text`)
    }
  })

  for (const member of servers) {
    await t.test(member.name, async (t) => {
      const { id, address } = await member.view()
      t.equal(address, member.vm.address6, 'its address is the one that the rule of the pool picks')
      t.match(await entryOf(world.controller.dataDir, id), `"address":"${address}"`, 'in its entry too')
      const rules = await member.vm.exec('ip6tables-save', ['-t', 'nat'])
      t.match(rules.stdout, 'ISTIO_INBOUND', 'IPv6 is captured')
      await opened(endpoints, `[${address}]`, 'the caller to know it')
      const answer = await answerOf(caller, member)
      t.match(answer.clientCert, 'URI=spiffe://cluster.local/ns/default/sa/caller')
      const plain = await call(world.network.host, `http://[${address}]:${echo.http}/`)
      t.equal(plain.status, 0, 'plain text is refused')
    })
  }

  await t.test('a VM with IPv6 alone calls by name', async (t) => {
    const answer = await answerOf(only, both)
    t.match(answer.clientCert, 'URI=spiffe://cluster.local/ns/default/sa/echo', 'by mutual TLS')
    const still = await answerOf(caller, both)
    t.match(
      still.clientCert,
      'URI=spiffe://cluster.local/ns/default/sa/caller',
      'and one of both families as before',
    )
  })

  await t.test('each leaves under load, and comes back by its key', async (t) => {
    for (const member of servers) {
      const { id } = await member.view()
      const load = world.load(caller, { options: { 'download-seconds': 3 } })
      await load.firstOk
      await waitFor(() => (load.progress().instances[member.name]?.answers ?? 0) > 60, { what: 'load on it' })
      t.equal(await member.shutDown(), 0, 'the agent ends well')
      const before = load.progress().requests
      await waitFor(() => load.progress().requests > before + 200, { what: 'load after the leave' })
      const summary = await load.stop()
      t.equal(summary.failed, 0, failuresOf(summary))
      t.comment(sceneLine(`leave-ipv6-${member.name}`, summary))
      const rules = await member.vm.exec('ip6tables-save', ['-t', 'nat'])
      t.notMatch(rules.stdout, 'ISTIO', 'the capture is undone')
      await member.startAgent()
      t.equal((await member.waitPhase('ready')).id, id)
      await opened(endpoints, `[${member.vm.address6}]`, 'the caller to know it again')
    }
  })
})

/** What the caller gets from this member. */
async function answerOf(caller: Member, member: Member): Promise<{ clientCert: string | null }> {
  let last = ''
  return waitFor(
    async () => {
      const { status, body, error } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
      last = `${status} ${error} ${body.slice(0, 200)}`
      if (status !== 200) return false
      const answer = JSON.parse(body) as { instance: string; clientCert: string | null }
      return answer.instance === member.name && answer
    },
    { what: `an answer of ${member.name}`, onTimeout: () => last },
  )
}
