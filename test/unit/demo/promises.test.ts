import t from 'tap'
import type { DemoFigures } from '../../../demo/figures.ts'
import { clientIdentity, judge } from '../../../demo/promises.ts'

const boot = (vm: string, firstAnswerMs?: number) => ({
  vm,
  readyMs: 700,
  ...(firstAnswerMs !== undefined && { firstAnswerMs }),
  conditions: {},
})
const load = { requests: 1000, failed: 0, byProtocol: {} }

const good: DemoFigures = {
  boots: [boot('client'), boot('server-1', 800), boot('server-2', 800)],
  traffic: {
    answeredBy: ['server-1', 'server-2'],
    caller: clientIdentity,
    server: 'spiffe://cluster.local/ns/default/sa/echo',
    plainText: { refused: true, error: 'ECONNRESET' },
  },
  scaleIn: { ...load, vm: 'server-2', closedMs: 200, leftMs: 3000 },
  replacement: boot('server-3', 800),
  powerCut: { ...load, failed: 16, vm: 'server-1', closedMs: 5200, failingMs: 5100, failedAfterClosed: 0 },
}

t.test('all promises are kept, although a power cut costs requests', async (t) => {
  t.same(
    judge(good).filter(({ kept }) => !kept),
    [],
  )
})

t.test('each promise can be broken', async (t) => {
  const { traffic, scaleIn, powerCut } = good
  if (traffic === undefined || scaleIn === undefined || powerCut === undefined) return t.fail('figures')
  const broken: readonly (readonly [string, DemoFigures])[] = [
    ['three VMs', { ...good, boots: good.boots.slice(0, 2) }],
    ['both servers', { ...good, traffic: { ...traffic, answeredBy: ['server-1'] } }],
    ['who called', { ...good, traffic: { ...traffic, caller: null } }],
    ['plain text', { ...good, traffic: { ...traffic, plainText: { refused: false, error: '' } } }],
    ['scaled in', { ...good, scaleIn: { ...scaleIn, failed: 1 } }],
    ['scaled in', { ...good, scaleIn: { ...scaleIn, requests: 0 } }],
    ['replacement', { ...good, replacement: boot('server-3') }],
    ['without power', { ...good, powerCut: { ...powerCut, closedMs: 6001 } }],
    ['without power', { ...good, powerCut: { ...powerCut, failedAfterClosed: 1 } }],
  ]
  for (const [promise, figures] of broken) {
    const list = judge(figures).filter(({ kept }) => !kept)
    t.equal(list.length, 1, promise)
    t.ok(list[0]?.promise.includes(promise), `${promise}: ${list[0]?.promise}`)
  }
})

t.test('what was not reached was not kept', async (t) => {
  t.ok(judge({ boots: [] }).every(({ kept }) => !kept))
})
