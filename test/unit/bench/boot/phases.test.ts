import t from 'tap'
import { marksOfStory } from '../../../bench/boot/emulated-boot.ts'
import { bootFigures, judged } from '../../../bench/boot/figures.ts'
import { type Marks, marksOfLog, phasesOf, totalOf } from '../../../bench/boot/phases.ts'

const log = [
  { ms: 110, message: 'agent started version=0.1.0 pool=servers' },
  { ms: 150, message: 'joined vm=vm-1 pool=servers' },
  { ms: 151, message: 'step done step=join ms=40' },
  { ms: 160, message: 'step done step=files ms=8' },
  { ms: 300, message: 'step done step=sidecar ms=140' },
  { ms: 500, message: 'step done step=ready ms=200' },
  { ms: 700, message: 'step done step=capture ms=200' },
  { ms: 900, message: 'step done step=files ms=3 step=files' },
]
const marks: Marks = { ...marksOfLog(log), unit: 100, open: 720, answered: 800 }

t.test('the log of a boot shows its points, the first time of each', async (t) => {
  t.same(marksOfLog(log), { started: 110, joined: 150, files: 160, sidecar: 300, envoy: 500, captured: 700 })
  t.same(marksOfLog([]), {})
})

t.test('phases lie between points, and sum up to the whole', async (t) => {
  const phases = phasesOf(marks)
  t.same(phases, {
    'agent start': 10,
    'challenge and join': 40,
    install: 0,
    files: 10,
    'sidecar start': 140,
    'Envoy ready': 200,
    capture: 200,
    'open to peers': 20,
    'first 200': 80,
  })
  t.equal(
    Object.values(phases).reduce((sum, ms) => sum + ms, 0),
    totalOf(marks),
  )
  t.equal(phasesOf({ ...marks, open: 650 })['open to peers'], 0, 'a clock that is behind takes nothing away')
  t.throws(() => phasesOf({ started: 1, answered: 2 }), { message: /neither end/ })
})

t.test('a story told from outside has the same points', async (t) => {
  const points = [
    { phase: 'kernel', ms: 1 },
    { phase: 'agent unit', ms: 100 },
    { phase: 'agent', ms: 110 },
    { phase: 'first 200', ms: 800 },
  ]
  t.same(marksOfStory({ machine: 'x', points }), { unit: 100, started: 110, answered: 800 })
})

t.test('figures are medians, with a goal for the agent alone', async (t) => {
  const machine = { powerOn: 0, systemd: 60, marks, floorMs: [2, 4, 3] }
  const slower = { ...machine, marks: { ...marks, answered: 900 } }
  const figures = bootFigures({
    baked: [machine, slower, slower],
    fetched: [machine],
    emulated: { story: { machine: 'x', points: [] }, marks },
  })
  t.equal(figures.container.agentMs, 800)
  t.equal(figures.container.beforeAgentMs, 40)
  t.equal(figures.container.unitFloorMs, 3)
  t.equal(figures.containerWithDownload.agentMs, 700)
  t.equal(figures.emulated.sincePowerOnMs, 800)
  t.equal(judged(figures).filter(({ goal }) => goal !== undefined).length, 1)
})
