import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Member } from '../world/member.ts'
import { Refused } from '../world/operator.ts'
import { waitFor } from '../world/waiting.ts'
import type { Observer } from '../world/watch/observer.ts'
import type { EndpointEvent } from '../world/watch/peer.ts'
import { opened } from '../world/watch/peer.ts'
import type { World } from '../world/world.ts'
import type { Window } from './windows.ts'

/** A server of the herd. */
export interface Animal {
  readonly member: Member
  readonly id: string
}

/** The servers that live now, and what can be done to them and to those who tend them. */
export interface Herd {
  readonly animals: readonly Animal[]
  /** Every VM is ready, connected and known to the peer. */
  settle(): Promise<void>

  // What must not cost a request.
  boot(): Promise<void>
  leave(animal: Animal): Promise<void>
  comeBack(animal: Animal): Promise<void>
  drain(animal: Animal): Promise<void>
  drainWithoutAgent(animal: Animal, pauses: { afterMs: number; awayMs: number }): Promise<void>
  remove(animal: Animal): Promise<void>
  killAgent(animal: Animal, pauseMs: number): Promise<void>
  killController(pauseMs: number): Promise<void>
  killIstiod(): Promise<void>

  // What cannot but cost requests of one VM: each in a window.
  killSidecar(animal: Animal, part: 'pilotAgent' | 'envoy'): Promise<void>
  flapLink(animal: Animal, downMs: number): Promise<void>
  cutPower(animal: Animal, afterwards: 'boots' | 'is replaced'): Promise<void>
  evict(animal: Animal): Promise<void>
}

export interface HerdDeps {
  readonly world: World
  /** What a peer's Envoy knows of the servers. */
  readonly endpoints: Observer<EndpointEvent>
  readonly windows: Window[]
}

const limitMs = 120_000

export function createHerd(deps: HerdDeps): Herd {
  const { world, endpoints, windows } = deps
  const { operator, controller } = world
  const animals: Animal[] = []
  let born = 0

  // The controller may be dead just now. What it refuses is another matter.
  async function ask<T>(what: string, call: () => Promise<T>): Promise<T> {
    const { value } = await waitFor(
      () =>
        call().then(
          (value) => ({ value }),
          (error) => {
            if (error instanceof Refused && error.status < 500) throw error
            return undefined
          },
        ),
      { what, limitMs, everyMs: 100 },
    )
    return value
  }

  const phaseIs = (animal: Animal, phase: string) =>
    waitFor(
      async () => {
        const view = await operator.vm(animal.id)
        return view.phase === phase && view
      },
      {
        what: `${animal.member.name} to be ${phase}`,
        limitMs,
        onTimeout: async () =>
          `${JSON.stringify(await operator.vm(animal.id))}\n${await readFile(animal.member.agentLog, 'utf8').then((text) => text.slice(-6_000))}`,
      },
    )

  async function isBack(animal: Animal): Promise<void> {
    await waitFor(
      async () => {
        const { phase, connected } = await operator.vm(animal.id)
        return phase === 'ready' && connected
      },
      {
        what: `${animal.member.name} to be ready`,
        limitMs,
        onTimeout: async () => JSON.stringify(await operator.explain(animal.id)),
      },
    )
    await opened(endpoints, animal.member.vm.address, `a peer to know ${animal.member.name}`)
  }

  function isClosed(address: string): boolean {
    const last = endpoints.events.findLast(
      (event) => event.opened.includes(address) || event.closed.includes(address),
    )
    return last === undefined || last.closed.includes(address)
  }

  async function bury(animal: Animal): Promise<void> {
    await waitFor(() => isClosed(animal.member.vm.address), {
      what: `the endpoint of ${animal.member.name} to be closed`,
      limitMs,
    })
    await animal.member.vm.destroy()
  }

  function take(animal: Animal): void {
    animals.splice(animals.indexOf(animal), 1)
  }

  async function within(animal: Animal, reason: string, work: () => Promise<void>): Promise<void> {
    const window: Window = { victim: animal.member.name, reason, from: Date.now() }
    windows.push(window)
    await work()
    window.until = Date.now()
  }

  return {
    animals,
    async settle() {
      for (const animal of animals) await isBack(animal)
    },

    async boot() {
      const name = `s${born++}`
      const token = (await ask('a join token', () => operator.createToken('servers'))).token
      const member = await world.prepare(name, 'servers', { token })
      await member.startApp()
      await member.startAgent()
      const { id } = await waitFor(() => member.view(), { what: `${name} to join`, limitMs })
      const animal = { member, id }
      await isBack(animal)
      await world.bake(member)
      animals.push(animal)
    },
    async leave(animal) {
      take(animal)
      const code = await animal.member.shutDown()
      if (code !== 0) throw new Error(`the agent of ${animal.member.name} ended with ${code}`)
      await phaseIs(animal, 'left')
      await bury(animal)
    },
    async comeBack(animal) {
      take(animal)
      await animal.member.shutDown()
      await phaseIs(animal, 'left')
      await animal.member.startAgent()
      await isBack(animal)
      animals.push(animal)
    },
    async drain(animal) {
      take(animal)
      await ask('a drain', () => operator.drain(animal.id))
      await phaseIs(animal, 'left')
      await bury(animal)
    },
    async drainWithoutAgent(animal, { afterMs, awayMs }) {
      take(animal)
      await ask('a drain', () => operator.drain(animal.id))
      await sleep(afterMs)
      await animal.member.killAgent()
      await sleep(awayMs)
      await animal.member.startAgent()
      await phaseIs(animal, 'left')
      await bury(animal)
    },
    async remove(animal) {
      take(animal)
      await ask('a removal', () => operator.remove(animal.id))
      await phaseIs(animal, 'left')
      await bury(animal)
    },
    async killAgent(animal, pauseMs) {
      await animal.member.killAgent()
      await sleep(pauseMs)
      await animal.member.startAgent()
      await isBack(animal)
    },
    async killController(pauseMs) {
      await controller.kill()
      await sleep(pauseMs)
      await controller.start()
    },
    async killIstiod() {
      const first = await istiodPid(world)
      if (first === undefined) return
      process.kill(first, 'SIGKILL')
      await waitFor(async () => ((await istiodPid(world)) ?? first) !== first, {
        what: 'a new istiod',
        limitMs,
      })
    },

    killSidecar: (animal, part) =>
      within(animal, `its ${part} is killed`, async () => {
        const before = (await operator.vm(animal.id)).sidecarRestarts
        const pid = (await animal.member.sidecar())[part]
        if (pid === undefined) throw new Error(`${animal.member.name} has no ${part}`)
        process.kill(pid, 'SIGKILL')
        await waitFor(async () => (await operator.vm(animal.id)).sidecarRestarts > before, {
          what: `the restart of the sidecar of ${animal.member.name}`,
          limitMs,
        })
        await isBack(animal)
      }),
    flapLink: (animal, downMs) =>
      within(animal, 'its link is down', async () => {
        await animal.member.vm.linkDown()
        await sleep(downMs)
        await animal.member.vm.linkUp()
        // TCP tries again after as long a pause as it has tried already.
        await sleep(downMs)
        await isBack(animal)
      }),
    async cutPower(animal, afterwards) {
      take(animal)
      await within(animal, 'it has no power', async () => {
        await animal.member.vm.cutPower()
        await phaseIs(animal, 'lost')
        await waitFor(() => isClosed(animal.member.vm.address), {
          what: 'its endpoint to be closed',
          limitMs,
        })
      })
      if (afterwards === 'is replaced') {
        await ask('a removal', () => operator.remove(animal.id, { now: true }))
        await phaseIs(animal, 'left')
        await animal.member.vm.destroy()
        return
      }
      // Rules of the kernel do not outlive a power cut.
      for (const table of ['nat', 'mangle', 'raw'])
        for (const program of ['iptables-restore', 'ip6tables-restore'])
          await animal.member.vm.exec(program, [], { input: `*${table}\nCOMMIT\n` })
      await animal.member.vm.linkUp()
      await animal.member.startApp()
      await animal.member.startAgent()
      await isBack(animal)
      animals.push(animal)
    },
    async evict(animal) {
      take(animal)
      await within(animal, 'it is removed at once', async () => {
        await operator.remove(animal.id, { now: true })
        await phaseIs(animal, 'left')
        await waitFor(() => isClosed(animal.member.vm.address), {
          what: 'its endpoint to be closed',
          limitMs,
        })
      })
      await animal.member.vm.destroy()
    },
  }
}

async function istiodPid(world: World): Promise<number | undefined> {
  for (const pid of await world.network.host.pids()) {
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
    if (name === 'istiod' || name === 'pilot-discovery') return pid
  }
  return undefined
}
