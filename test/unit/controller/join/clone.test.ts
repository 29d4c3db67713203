import t from 'tap'
import { type CloneJudgement, type CloneQuestion, judgeClone } from '../../../../controller/join/clone.ts'

const now = 1_000_000
const base: CloneQuestion = {
  isSameMachine: false,
  connected: true,
  lastHeard: now - 500,
  listenedMs: 500,
  heartbeatMs: 2_000,
  suspectedSince: undefined,
}
const cases: readonly (readonly [string, Partial<CloneQuestion>, CloneJudgement])[] = [
  ['the same boot at the same address comes again', { isSameMachine: true }, 'same'],
  ['the old stream was closed', { connected: false }, 'same'],
  [
    'the old stream has been silent for more than two heartbeats',
    { lastHeard: now - 4_001, listenedMs: 4_001 },
    'same',
  ],
  ['heartbeats of the old stream may wait unread', { lastHeard: now - 30_000, listenedMs: 500 }, 'wait'],
  ['the old stream was heard a moment ago', {}, 'wait'],
  ['it was last heard before the newcomer came', { suspectedSince: now - 400 }, 'wait'],
  ['a heartbeat was under way', { suspectedSince: now - 2_000, lastHeard: now - 100 }, 'wait'],
  ['both are alive', { suspectedSince: now - 5_000, lastHeard: now - 100 }, 'clone'],
  [
    'both were alive, and the old one has gone since',
    { suspectedSince: now - 60_000, lastHeard: now - 9_000, listenedMs: 9_000 },
    'same',
  ],
]
for (const [name, over, judgement] of cases) {
  t.test(`${name}: ${judgement}`, async (t) => {
    t.equal(judgeClone({ ...base, ...over }), judgement)
  })
}
