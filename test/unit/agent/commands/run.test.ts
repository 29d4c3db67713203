import t from 'tap'
import { createRunningAgent } from '../../../../agent/commands/run.ts'
import type { StatusView } from '../../../../agent/commands/status.ts'
import type { LifeEnd } from '../../../../agent/life.ts'
import type { FarewellEnd } from '../../../../agent/shutdown/farewell.ts'
import type { LeaveWish } from '../../../../agent/shutdown/leave.ts'
import type { State } from '../../../../agent/state.ts'
import { createStatusBoard } from '../../../../agent/status.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const untold: State = { version: 1, privateKey: 'k', left: { at: 1, reason: 'operator', untold: true } }

function scene(start?: State) {
  let state = start
  const farewells: { patient: boolean; signal: AbortSignal; end: PromiseWithResolvers<FarewellEnd> }[] = []
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
    farewell: {
      run({ patient, signal }) {
        const end = Promise.withResolvers<FarewellEnd>()
        farewells.push({ patient, signal, end })
        signal.addEventListener('abort', () => end.resolve('aborted'), { once: true })
        return end.promise
      },
    },
    async settle(end) {
      const { left: _, ...rest } = state ?? ({ version: 1, privateKey: 'k' } as const)
      state = { ...rest, ...(end === 'revoked' && { revoked: { at: 1 } }) }
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
  const leave = () => {
    state = untold
  }
  return { agent, board, lives, wishes, stop, clock, turn, farewells, leave }
}

/** A scene whose agent runs; `finish` stops it in whatever life it is, and waits for its end. */
async function running(start?: State) {
  const all = scene(start)
  const ended = all.agent.run()
  await all.turn()
  const finish = async () => {
    all.stop.abort()
    all.lives.at(-1)?.resolve('left')
    await ended
  }
  return { ...all, finish }
}

t.test('after a leave it is idle, until it is told to come back', async (t) => {
  const { agent, lives, turn, finish } = await running()
  lives[0]?.resolve('left')
  await turn()
  t.equal(lives.length, 1)
  t.same(await agent.answer({ kind: 'leave' }), { result: 'left' }, 'it is already gone')
  await agent.answer({ kind: 'join' })
  await turn()
  t.equal(lives.length, 2)
  await finish()
  t.equal(lives.length, 2)
})

t.test('a VM that is wanted back comes back by itself, after a moment', async (t) => {
  const { lives, clock, finish } = await running()
  lives[0]?.resolve('again')
  await clock.untilSleeping()
  t.equal(lives.length, 1)
  await clock.advance(500)
  t.equal(lives.length, 2)
  await finish()
})

t.test('wishes of the command line reach the life', async (t) => {
  const { agent, wishes, finish } = await running()
  t.same(await agent.answer({ kind: 'drain' }), { result: 'held' })
  t.same(await agent.answer({ kind: 'leave' }), { result: 'left' })
  t.same(wishes, [
    { reason: 'operator', after: 'hold' },
    { reason: 'operator', after: 'leave' },
  ])
  t.same(await agent.answer({ kind: 'status' }), { stage: 'joining' })
  await finish()
})

t.test('a wish to come back in the very instant of a leave is not lost', async (t) => {
  const { agent, lives, wishes, turn, finish } = await running()
  t.same(await agent.answer({ kind: 'leave' }), { result: 'left' })
  t.equal(wishes.length, 1)
  // The command has its answer, and the last acts of the life are still to come.
  await agent.answer({ kind: 'join' })
  await turn()
  t.equal(lives.length, 1)
  lives[0]?.resolve('left')
  await turn()
  t.equal(lives.length, 2)
  await finish()
})

t.test(
  'nor while the controller takes this VM out; one in the middle of a life is of no weight',
  async (t) => {
    const { agent, board, lives, turn, finish } = await running()
    await agent.answer({ kind: 'join' })
    lives[0]?.resolve('left')
    await turn()
    t.equal(lives.length, 1, 'what was said long ago does not undo a leave')
    await agent.answer({ kind: 'join' })
    await turn()
    t.equal(lives.length, 2)
    board.setStage('leaving')
    await agent.answer({ kind: 'join' })
    lives[1]?.resolve('left')
    await turn()
    t.equal(lives.length, 3)
    await finish()
  },
)

t.test('an agent that only leaves lives for that, and tells what was not told', async (t) => {
  const joined: State = {
    ...{ version: 1, privateKey: 'k' },
    identity: {
      ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '' },
      ...{ certificateFrom: 0, certificateUntil: 1, joinedAt: 0 },
    },
  }
  const { agent, lives, wishes, turn } = scene(joined)
  const left = agent.leave('shutdown')
  await turn()
  t.same(wishes, [{ reason: 'shutdown', after: 'leave' }], 'said before it lives')
  lives[0]?.resolve('left')
  t.equal(await left, 'left')
  t.equal(lives.length, 1)

  const late = scene({ ...joined, ...untold })
  const told = late.agent.leave('shutdown')
  await late.turn()
  t.match(late.farewells, [{ patient: false }], 'a shutdown does not wait for ever')
  late.farewells[0]?.end.resolve('told')
  t.equal(await told, 'left')
  t.equal(late.lives.length, 0)
})

t.test('a revoked key begins no life', async (t) => {
  const { agent, board, lives, finish } = await running({
    version: 1,
    privateKey: 'k',
    revoked: { at: 1 },
  })
  t.equal(board.stage, 'revoked')
  await t.rejects(agent.answer({ kind: 'join' }), { code: 'KEY_REVOKED' })
  await finish()
  t.equal(lives.length, 0)
})

t.test('who left while the controller was away tells it from the idle time', async (t) => {
  const { agent, lives, farewells, leave, turn, finish } = await running()
  leave()
  lives[0]?.resolve('left')
  await turn()
  t.match(farewells, [{ patient: true }], 'for as long as it takes')
  t.equal(lives.length, 1)
  farewells[0]?.end.resolve('told')
  await turn()
  t.equal(lives.length, 1, 'and stays away')
  await agent.answer({ kind: 'join' })
  await turn()
  t.equal(lives.length, 2)
  t.equal(farewells.length, 1, 'it is known')
  await finish()
})

t.test('a start after a leave that was not told begins with it', async (t) => {
  const { lives, farewells, turn, finish } = await running(untold)
  t.match(farewells, [{ patient: false }])
  t.equal(lives.length, 0)
  farewells[0]?.end.resolve('told')
  await turn()
  t.equal(lives.length, 1)
  await finish()
})

t.test(
  'whoever comes back before it was told says it first; a controller that is deaf is no obstacle',
  async (t) => {
    const { agent, lives, farewells, leave, turn, finish } = await running()
    leave()
    lives[0]?.resolve('left')
    await turn()
    await agent.answer({ kind: 'join' })
    await turn()
    t.ok(farewells[0]?.signal.aborted)
    t.match(farewells[1], { patient: false })
    t.equal(lives.length, 1)
    farewells[1]?.end.resolve('unheard')
    await turn()
    t.equal(lives.length, 2)
    await finish()
  },
)

t.test('a stop waits for no farewell', async (t) => {
  const { lives, farewells, finish } = await running(untold)
  await finish()
  t.ok(farewells[0]?.signal.aborted)
  t.equal(lives.length, 0)
})

t.test('a key that was revoked meanwhile ends it, at the start and in the idle time', async (t) => {
  const early = await running(untold)
  early.farewells[0]?.end.resolve('revoked')
  await early.turn()
  t.equal(early.board.stage, 'revoked')
  await early.finish()

  const late = await running()
  late.leave()
  late.lives[0]?.resolve('left')
  await late.turn()
  late.farewells[0]?.end.resolve('revoked')
  await late.turn()
  t.equal(late.board.stage, 'revoked')
  t.equal(late.lives.length, 1)
  await late.finish()
})
