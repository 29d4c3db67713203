import t from 'tap'
import { createRunningAgent } from '../../../../agent/commands/run.ts'
import type { StatusView } from '../../../../agent/commands/status.ts'
import type { LifeEnd } from '../../../../agent/life.ts'
import type { LeaveWish } from '../../../../agent/shutdown/leave.ts'
import type { State } from '../../../../agent/state.ts'
import { createStatusBoard } from '../../../../agent/status.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function scene(state?: State) {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  const lives: PromiseWithResolvers<LifeEnd>[] = []
  const wishes: LeaveWish[] = []
  const stop = new AbortController()
  const agent = createRunningAgent({
    createLife() {
      const life = Promise.withResolvers<LifeEnd>()
      lives.push(life)
      return {
        run: () => life.promise,
        async wish(wish) {
          wishes.push(wish)
          return wish.after === 'hold' ? 'held' : 'left'
        },
      }
    },
    store: { current: () => state, write: async () => {} },
    board,
    view: () => ({ stage: board.stage }) as StatusView,
    clock,
    log: silentLog,
    stop: stop.signal,
    random: () => 0.5,
  })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  return { agent, board, lives, wishes, stop, clock, turn }
}

t.test('after a leave it is idle, until it is told to come back', async (t) => {
  const { agent, lives, stop, turn } = scene()
  const ended = agent.run()
  await turn()
  lives[0]?.resolve('left')
  await turn()
  t.equal(lives.length, 1)
  t.same(await agent.answer({ kind: 'leave' }), { result: 'left' }, 'it is already gone')
  await agent.answer({ kind: 'join' })
  await turn()
  t.equal(lives.length, 2)
  stop.abort()
  lives[1]?.resolve('left')
  await ended
  t.equal(lives.length, 2)
})

t.test('a VM that is wanted back comes back by itself, after a moment', async (t) => {
  const { agent, lives, stop, clock, turn } = scene()
  const ended = agent.run()
  await turn()
  lives[0]?.resolve('again')
  await clock.untilSleeping()
  t.equal(lives.length, 1)
  await clock.advance(500)
  t.equal(lives.length, 2)
  stop.abort()
  lives[1]?.resolve('left')
  await ended
})

t.test('wishes of the command line reach the life', async (t) => {
  const { agent, wishes, lives, stop, turn } = scene()
  const ended = agent.run()
  await turn()
  t.same(await agent.answer({ kind: 'drain' }), { result: 'held' })
  t.same(await agent.answer({ kind: 'leave' }), { result: 'left' })
  t.same(wishes, [
    { reason: 'operator', after: 'hold' },
    { reason: 'operator', after: 'leave' },
  ])
  t.same(await agent.answer({ kind: 'status' }), { stage: 'joining' })
  stop.abort()
  lives[0]?.resolve('left')
  await ended
})

t.test('a revoked key begins no life', async (t) => {
  const { agent, board, lives, stop, turn } = scene({ version: 1, privateKey: 'k', revoked: { at: 1 } })
  const ended = agent.run()
  await turn()
  t.equal(board.stage, 'revoked')
  await t.rejects(agent.answer({ kind: 'join' }), { code: 'KEY_REVOKED' })
  stop.abort()
  await ended
  t.equal(lives.length, 0)
})
