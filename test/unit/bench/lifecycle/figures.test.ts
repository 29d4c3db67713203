import t from 'tap'
import { isMet } from '../../../bench/figure.ts'
import { judged, type LifecycleSamples, lifecycleFigures } from '../../../bench/lifecycle/figures.ts'
import type { LoadSummary } from '../../../testbed/apps/load-report.ts'

const load: LoadSummary = {
  event: 'summary',
  startedAt: 0,
  endedAt: 1,
  requests: 12_000,
  failed: 1,
  cancelled: 0,
  firstOkAt: 0,
  byProtocol: {
    http1: { requests: 11_000, failed: 0, slowestMs: 5, errors: [] },
    tcp: { requests: 1000, failed: 1, slowestMs: 5, errors: [{ time: 0, code: 'ECONNRESET', detail: '' }] },
  },
  instances: {},
  timeline: [],
}

const samples: LifecycleSamples = {
  boots: [600.4, 700.6, 650].map((ms) => ({ ms, conditions: {} })),
  floorsMs: [200, 210, 205],
  leaves: {
    samples: [200, 300, 250].map((closedMs) => ({ closedMs, leftMs: 30_000, openRequests: 1 })),
    load,
  },
  kills: { samples: [{ closedMs: 250, backMs: 800 }], load },
  powerCutsMs: [5300, 5100],
  agent: {
    residentKb: 40_000,
    privateCleanKb: 1000,
    privateDirtyKb: 4000,
    residentSoonKb: 39_000,
    cpuPercent: 0.10049,
    childCpuPercent: 0.1,
    startMs: [31.26, 30],
    trueMs: [1],
  },
}

t.test('the figures are what is promised to programs, and nothing else', async (t) => {
  t.same(lifecycleFigures(samples), {
    bootMs: { p50: 650, p90: 690, n: 3 },
    sidecarFloorMs: { p50: 205 },
    leave: {
      requests: 12_000,
      failed: 1,
      closedMs: { p50: 250, p90: 290 },
      byProtocol: { http1: { requests: 11_000, failed: 0 }, tcp: { requests: 1000, failed: 1 } },
    },
    kill: { requests: 12_000, failed: 1, closedMs: 250, backMs: 800 },
    powerCut: { closedMs: 5200 },
    agent: { residentKb: 40_000, privateKb: 4000, startMs: 30.6, cpuPercent: 0.1 },
  })
})

t.test('one failed request while leaving misses the goal', async (t) => {
  const missed = judged(lifecycleFigures(samples)).filter((figure) => isMet(figure) === false)
  t.same(
    missed.map((figure) => figure.name),
    ['leave: failed requests'],
  )
})
