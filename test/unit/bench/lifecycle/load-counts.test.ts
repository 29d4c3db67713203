import t from 'tap'
import { countsOf } from '../../../bench/lifecycle/load-counts.ts'
import type { LoadSummary } from '../../../testbed/apps/load-report.ts'

const nothing: LoadSummary = {
  event: 'summary',
  startedAt: 200,
  endedAt: 300,
  requests: 0,
  failed: 0,
  cancelled: 0,
  firstOkAt: null,
  byProtocol: {},
  instances: {},
  timeline: [],
}

t.test('several load clients are one load', async (t) => {
  const error = { time: 250, code: 'TRUNCATED', detail: '' }
  const counts = countsOf([
    {
      ...nothing,
      requests: 110,
      byProtocol: {
        http1: { requests: 100, failed: 0, slowestMs: 9, errors: [] },
        download: { requests: 10, failed: 0, slowestMs: 30_000, errors: [] },
      },
    },
    {
      ...nothing,
      startedAt: 100,
      requests: 5,
      failed: 1,
      byProtocol: { download: { requests: 5, failed: 1, slowestMs: 30_100, errors: [error] } },
    },
  ])
  t.same(counts, {
    requests: 115,
    failed: 1,
    startedAt: 100,
    byProtocol: {
      http1: { requests: 100, failed: 0, slowestMs: 9, errors: [] },
      download: { requests: 15, failed: 1, slowestMs: 30_100, errors: [error] },
    },
  })
})
