/** A process full of simulated agents: orders on its standard input, what became of them on its standard output. */
import { createInterface } from 'node:readline'
import { makeAgentKey } from '../../fakes/agent.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { createSimulatedAgent, type SimulatedAgent } from './agent.ts'
import type { JoinOutcome, Order, Saying } from './orders.ts'

const agents = new Map<number, SimulatedAgent>()
const progressMs = 250

const say = (saying: Saying) => process.stdout.write(`${JSON.stringify(saying)}\n`)

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void obey(JSON.parse(line) as Order))
lines.once('close', () => process.exit(0))

async function obey(order: Order): Promise<void> {
  switch (order.order) {
    case 'prepare': {
      const { url, ca } = order
      for (const member of order.members) {
        agents.set(member.index, createSimulatedAgent({ member, url, ca, key: await makeAgentKey() }))
      }
      return void say({ said: 'prepared' })
    }
    case 'join':
      return void say({ said: 'joined', joins: await joinAll(order.atOnce, order.open) })
    case 'status': {
      const at = monotonicMs()
      agents.get(order.index)?.status(order.health)
      return void say({ said: 'sent', index: order.index, at })
    }
    case 'count': {
      const all = [...agents.values()]
      const open = all.filter(({ isOpen }) => isOpen).length
      return void say({ said: 'counted', open, cuts: all.reduce((sum, { cuts }) => sum + cuts, 0) })
    }
  }
}

async function joinAll(atOnce: number, open: boolean): Promise<readonly JoinOutcome[]> {
  const waiting = [...agents].toReversed()
  const joins: JoinOutcome[] = []
  const progress = setInterval(() => say({ said: 'progress', joined: joins.length }), progressMs)
  const one = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
      joins.push(await joinOne(...next, open))
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  clearInterval(progress)
  return joins
}

async function joinOne(index: number, agent: SimulatedAgent, open: boolean): Promise<JoinOutcome> {
  const begun = monotonicMs()
  let ms = 0
  try {
    const deferred = await agent.join()
    ms = monotonicMs() - begun
    if (open) await agent.open('healthy')
    return { index, ms, deferred, vm: agent.vm }
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error)
    return { index, ms: ms || monotonicMs() - begun, deferred: 0, vm: '', failure }
  }
}
