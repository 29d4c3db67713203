import { readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { watchAnswers } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { restMs } from './boot.ts'
import { lonePools, type Stage } from './stage.ts'

/** How pilot-agent was started, taken from the running process. */
export interface BareSidecar {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

const user = { uid: 1337, gid: 1337 }

/**
 * The floor under every boot: pilot-agent alone, started by hand on a VM where all its files, its token, the traffic
 * rules and the open endpoint are there already, until the peer's first 200.
 */
export async function measureFloor(stage: Stage, n: number, step: ProgressStep): Promise<number[]> {
  const member = await stage.boot('floor', 'floor')
  const answers = watchAnswers(stage.caller.vm, `http://${lonePools.floor}:${echo.http}/`)
  const served = (since: number) =>
    answers.first((event) => event.at > since && event.status === 200, { what: 'an answer of the floor VM' })
  await served(0)
  const { pilotAgent } = await member.sidecar()
  const bare = await readBareSidecar(pilotAgent ?? 0)
  await member.killAgent()

  const samples: number[] = []
  for (let i = 1; i <= n; i++) {
    step.at(`${i} of ${n}`)
    const killed = monotonicMs()
    await killSidecar(member)
    await answers.first((event) => event.at > killed && event.status !== 200, { what: 'the peer to miss it' })
    await sleep(restMs)
    const begun = monotonicMs()
    const { command, args, env, cwd } = bare
    member.vm.spawn(command, args, { env: { ...env }, cwd, ...user, stdio: 'ignore' })
    samples.push((await served(begun)).at - begun)
  }
  await answers.stop()
  await killSidecar(member)
  await stage.world.operator.remove((await member.view()).id, { now: true })
  await member.vm.destroy()
  return samples
}

async function killSidecar(member: Member): Promise<void> {
  await waitFor(
    async () => {
      const left = Object.values(await member.sidecar())
      for (const pid of left) process.kill(pid, 'SIGKILL')
      return left.length === 0
    },
    { what: 'the sidecar to be gone' },
  )
}

async function readBareSidecar(pid: number): Promise<BareSidecar> {
  const read = async (name: string) => strings(await readFile(`/proc/${pid}/${name}`, 'utf8'))
  const [command = '', ...args] = await read('cmdline')
  const env = Object.fromEntries((await read('environ')).map(assignment))
  return { command, args, env, cwd: await readlink(`/proc/${pid}/cwd`) }
}

function strings(text: string): string[] {
  return text.split('\0').slice(0, -1)
}

function assignment(text: string): [string, string] {
  const sign = text.indexOf('=')
  return [text.slice(0, sign), text.slice(sign + 1)]
}
