import t from 'tap'
import { booted, closedAfterCut, counted, lost, needs, outlook, verdict } from '../../../demo/narration.ts'

const byProtocol = { http1: { requests: 300, failed: 4 }, tcp: { requests: 300, failed: 0 } }
const cut = { vm: 'server-1', requests: 600, failed: 4, byProtocol, closedMs: 5100, failingMs: 4900 }

t.test('what is missing on this machine is said with what to do', async (t) => {
  const lines = needs(
    [
      { what: 'Linux on x64', met: true },
      { what: 'root', met: false, fix: 'Run it as root.' },
    ],
    [],
  )
  t.match(lines.join('\n'), /Linux on x64 ✓ +root ✗/)
  t.match(lines.join('\n'), /Run it as root\./)
})

t.test('what will be got is said with its time, and nothing where nothing is', async (t) => {
  t.equal(outlook([], '/cache').length, 1)
  const text = outlook(
    [
      { what: 'Envoy', by: 'pip', seconds: 20 },
      { what: 'istiod', by: 'go', seconds: 360 },
    ],
    '/cache',
  ).join('\n')
  for (const part of ['fetched by pip, about 20 s', 'built by Go, about 6 min', '/cache'])
    t.ok(text.includes(part), part)
})

t.test('the way into the mesh names only what happened', async (t) => {
  const conditions = { Admitted: 80, SidecarInstalled: 110, SidecarReady: 320, TrafficCaptured: 550 }
  t.equal(
    booted({ vm: 'client', readyMs: 600, conditions }, true),
    'joined 0.08 · sidecar fetched 0.11 · Envoy ready 0.32 · captured 0.55',
  )
  t.equal(
    booted({ vm: 'server-1', readyMs: 600, firstAnswerMs: 742, conditions }, false),
    'joined 0.08 · Envoy ready 0.32 · captured 0.55 · answers 0.74',
  )
})

t.test('failures are said, not hidden', async (t) => {
  t.equal(counted({ requests: 600, failed: 4, byProtocol }), 'failed: http1 4 of 300 · tcp 0 of 300')
  t.match(lost({ ...cut, failedAfterClosed: 0 }), /began 4\.90 s after the cut, none after it was closed/)
  t.match(lost({ ...cut, failedAfterClosed: 2 }), /2 after it was closed/)
  t.match(lost({ ...cut, failed: 0, failedAfterClosed: 0 }), /luck/)
  t.match(closedAfterCut(7_000), /only after 7\.00 s; 6\.00 s were promised/)
})

t.test('the last word names what was not kept', async (t) => {
  t.match(verdict([{ promise: 'a', kept: true }], 45_000).join('\n'), /All 1 promises were kept, in 45\.0 s/)
  const broken = verdict(
    [
      { promise: 'a', kept: true },
      { promise: 'b', kept: false },
    ],
    1,
  ).join('\n')
  t.match(broken, /✗ b/)
  t.notMatch(broken, /✗ a/)
})
