import type { ChildProcess } from 'node:child_process'
import t from 'tap'
import type { StatusView } from '../../agent/commands/status.ts'
import { call } from '../world/call.ts'
import { type Member, tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo } from '../world/world.ts'

/** Ports of the sidecar, and the address on which another program has each. */
const taken: readonly (readonly [number, string])[] = [
  [15001, '0.0.0.0'],
  [15006, '127.0.0.1'],
  [15021, '0.0.0.0'],
  [15090, '0.0.0.0'],
  [15020, '0.0.0.0'],
  [15053, '127.0.0.1'],
  [15004, '127.0.0.1'],
  [15000, '0.0.0.0'],
]

t.test('another program has a port of the sidecar', async (t) => {
  const world = await createWorld({ name: 'taken' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')

  await t.test(
    'before the first start: each is named with its owner, and the VM serves when it is free',
    async (t) => {
      const member = await world.prepare('crowded', 'servers')
      await member.startApp()
      const squatters = await Promise.all(
        taken.map(async ([port, host]) => ({ port, process: await squat(member, port, host) })),
      )
      await member.startAgent()
      const words = squatters.map(({ port, process }) => new RegExp(`${port} by .*\\(pid ${process.pid}\\)`))
      const all = await blocked(member, (message) => words.every((word) => word.test(message)))
      t.equal(all.status, 'False')
      t.same(await member.sidecar(), {}, 'nothing was started')
      const rules = await member.vm.exec('iptables-save', ['-t', 'nat'])
      t.notMatch(rules.stdout, 'ISTIO', 'and nothing is captured')
      t.match(await world.operator.explain((await member.view()).id), {
        ready: false,
        step: 'SidecarRunning',
        cause: /A port that the sidecar needs is taken: 15000 by /,
      })

      const last = squatters.splice(2, 1)
      for (const { process } of squatters) process.kill('SIGKILL')
      await blocked(member, (message) => /^15021 by [^,]*$/.test(message))
      const freedAt = Date.now()
      for (const { process } of last) process.kill('SIGKILL')
      await member.waitPhase('ready', 40_000)
      t.comment(`ready ${Date.now() - freedAt} ms after the last port was free`)
      await answers(caller)
    },
  )

  await t.test('a port on an address where no sidecar opens it is in nobody’s way', async (t) => {
    const member = await world.prepare('elsewhere', 'servers')
    await member.startApp()
    await Promise.all([15000, 15053].map((port) => squat(member, port, '127.0.0.9')))
    await member.startAgent()
    t.equal((await member.waitPhase('ready')).phase, 'ready')
  })

  for (const port of [15006, 15021]) {
    await t.test(`Envoy dies, and somebody takes ${port} before the next one starts`, async (t) => {
      const member = await world.boot(`robbed-${port}`, 'servers')
      const { envoy = 0 } = await member.sidecar()
      const robber = await squat(member, port, '0.0.0.0', () => process.kill(envoy, 'SIGKILL'))
      await blocked(member, (message) => message.startsWith(`${port} by `))
      await member.waitPhase('unhealthy')
      const freedAt = Date.now()
      robber.kill('SIGKILL')
      await member.waitPhase('ready', 40_000)
      t.comment(`ready ${Date.now() - freedAt} ms after ${port} was free`)
      t.match(await member.sidecar(), { pilotAgent: Number, envoy: Number })
    })
  }
})

/** A program that takes the port, as soon as it can; `meanwhile` runs when it tries. */
async function squat(
  member: Member,
  port: number,
  host: string,
  meanwhile: () => void = () => {},
): Promise<ChildProcess> {
  const program = `
    const server = require('node:net').createServer((socket) => socket.destroy())
    server.on('error', () => { console.log('tries'); setTimeout(take, 1) })
    server.on('listening', () => console.log('listens'))
    const take = () => server.listen(${port}, '${host}')
    take()`
  const child = member.vm.spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout?.on('data', (part) => {
    if (said === '') meanwhile()
    said = String(part)
  })
  await waitFor(() => said.includes('listens'), { what: `a program to have port ${port}` })
  return child
}

/** Waits until the agent says who has its ports, in words that fit. */
async function blocked(member: Member, fits: (message: string) => boolean) {
  return waitFor(
    async () => {
      const { code, stdout } = await member.agent('status', '--json')
      if (code !== 0) return false
      const { conditions } = JSON.parse(stdout) as StatusView
      return conditions.find(({ reason, message }) => reason === 'PORT_IN_USE' && fits(message)) ?? false
    },
    {
      what: `${member.name} to say who has its ports`,
      limitMs: 60_000,
      onTimeout: () => tail(member.agentLog),
    },
  )
}

async function answers(caller: Member): Promise<void> {
  await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
    what: 'an answer over the mesh',
  })
}
