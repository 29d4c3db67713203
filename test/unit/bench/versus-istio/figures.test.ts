import t from 'tap'
import { isMet } from '../../../bench/figure.ts'
import { judged, type VersusSamples, versusFigures } from '../../../bench/versus-istio/figures.ts'
import type { Trial } from '../../../bench/versus-istio/trials.ts'

function trial(closedMs: number, requests: number, failed: number): Trial {
  return {
    closedMs,
    load: {
      ...{ event: 'summary', startedAt: 0, endedAt: 1, cancelled: 0, firstOkAt: 0 },
      ...{ byProtocol: {}, instances: {}, timeline: [] },
      ...{ requests, failed },
    },
  }
}

const samples: VersusSamples = {
  boots: { istio: [3200, 3000, 3100.4], mooring: [700, 650, 660], quickIstio: [1200] },
  endings: {
    leave: {
      istio: [trial(15_000, 700, 300), trial(15_200, 700, 320), trial(14_000, 600, 1)],
      mooring: [trial(200, 100, 0), trial(180, 100, 0)],
    },
    kill: { istio: [trial(10_100, 500, 400)], mooring: [trial(220, 90, 5)] },
    powerCut: { istio: [trial(49_000, 900, 500)], mooring: [trial(4_000, 200, 50)] },
  },
}

t.test('times are medians, requests of all VMs count', async (t) => {
  t.same(versusFigures(samples), {
    boot: { istioMs: 3100, mooringMs: 660 },
    leave: {
      istio: { requests: 2000, failed: 621, closedMs: 15_000 },
      mooring: { requests: 200, failed: 0, closedMs: 190 },
    },
    kill: {
      istio: { requests: 500, failed: 400, closedMs: 10_100 },
      mooring: { requests: 90, failed: 5, closedMs: 220 },
    },
    powerCut: {
      istio: { requests: 900, failed: 500, closedMs: 49_000 },
      mooring: { requests: 200, failed: 50, closedMs: 4_000 },
    },
  })
})

t.test('goals are ratios, and none failed', async (t) => {
  const verdicts = () => judged(versusFigures(samples)).flatMap((figure) => isMet(figure) ?? [])
  t.same(verdicts(), [true, true, true])
  const worse = {
    ...samples,
    boots: { ...samples.boots, mooring: [900] },
    endings: { ...samples.endings, leave: { ...samples.endings.leave, mooring: [trial(200, 100, 1)] } },
  }
  t.same(
    judged(versusFigures(worse)).flatMap((figure) => isMet(figure) ?? []),
    [false, false, true],
  )
})
