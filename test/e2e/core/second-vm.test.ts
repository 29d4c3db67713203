import t from 'tap'
import { call } from '../../world/call.ts'
import { adminGet } from '../../world/envoy-admin.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, echo } from '../../world/world.ts'

t.test('the second VM of a pool has the inbound listeners of the first, with mTLS', async (t) => {
  const world = await createWorld({ name: 'second' })
  t.teardown(() => world.close())
  const first = await world.boot('first', 'servers')
  const second = await world.boot('second', 'servers')
  const chains = []
  for (const member of [first, second]) {
    const dump = JSON.parse(
      await adminGet(member.vm, '/config_dump?resource=dynamic_listeners'),
    ) as ConfigDump
    const inbound = dump.configs
      .map((c) => c.active_state?.listener)
      .find((l) => l?.name === 'virtualInbound')
    const served = (inbound?.filter_chains ?? [])
      .filter((chain) => chain.filter_chain_match?.destination_port !== undefined)
      .map((chain) => ({
        port: chain.filter_chain_match?.destination_port,
        tls: chain.transport_socket?.name ?? 'none',
        client: chain.transport_socket?.typed_config?.require_client_certificate ?? false,
      }))
    chains.push(served)
  }
  t.same(chains[1], chains[0], 'both have the same chains')
  for (const port of [echo.http, echo.http2, echo.tcp]) {
    const ours = chains[1]?.filter((chain) => chain.port === port) ?? []
    t.ok(ours.length > 0, `port ${port} has a chain`)
    t.ok(
      ours.every((chain) => chain.tls.includes('tls') && chain.client),
      `port ${port} demands a certificate`,
    )
  }

  await t.test('an application reached by both addresses answers through either', async (t) => {
    const caller = await world.boot('caller', 'clients')
    const seen = new Set<string>()
    await waitFor(
      async () => {
        const { status, body } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        if (status === 200) seen.add((JSON.parse(body) as { instance: string }).instance)
        return seen.size === 2
      },
      { what: 'answers of both' },
    )
    t.same([...seen].sort(), ['first', 'second'])
  })
})

interface ConfigDump {
  configs: {
    active_state?: {
      listener?: {
        name?: string
        filter_chains?: {
          filter_chain_match?: { destination_port?: number }
          transport_socket?: { name: string; typed_config?: { require_client_certificate?: boolean } }
        }[]
      }
    }
  }[]
}
