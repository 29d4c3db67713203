import { type IncomingMessage, request } from 'node:http'
import { get } from 'node:https'
import t from 'tap'
import type { OperatorCreated, VmView } from '../../../shared/api/operator.ts'
import { createFakeClock } from '../../fakes/clock.ts'
import { startController, type TestController } from '../../fakes/controller.ts'

interface Watch {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly events: readonly { readonly event: string; readonly data: unknown }[]
  readonly comments: number
  readonly ended: Promise<void>
  until(found: () => boolean): Promise<void>
  close(): void
}

function watch(house: TestController, token: string, query = ''): Promise<Watch> {
  return new Promise((resolve, reject) => {
    const options = {
      ca: house.announcement.ca,
      agent: false as const,
      headers: { authorization: `Bearer ${token}` },
    }
    const outgoing = get(`${house.url}/v1/vms/events${query}`, options, (response) => {
      const events: { event: string; data: unknown }[] = []
      let comments = 0
      let rest = ''
      let wake: (() => void)[] = []
      const told = () => {
        for (const one of wake) one()
        wake = []
      }
      response.on('data', (chunk: Buffer) => {
        const blocks = (rest + chunk.toString()).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          const [, event = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
          if (event === '') comments += 1
          else events.push({ event, data: JSON.parse(data) })
        }
        told()
      })
      response.on('error', () => {})
      const ended = new Promise<void>((done) => {
        response.on('close', () => {
          done()
          told()
        })
      })
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        events,
        get comments() {
          return comments
        },
        ended,
        async until(found) {
          while (!found()) await new Promise<void>((next) => wake.push(next))
        },
        close: () => outgoing.destroy(),
      })
    })
    outgoing.on('error', reject)
  })
}

t.test('all VMs first, then every change, of the pools that the operator may see', async (t) => {
  const house = await startController()
  t.teardown(() => house.close())
  await house.applyPool('web')
  await house.applyPool('db', { serviceAccount: 'db' })
  const join = async (pool: string, address: string) => {
    const { token } = await house.token(pool)
    const agent = await house.agent({ pool, token, address })
    await agent.join()
    return agent
  }
  const web = await join('web', '10.0.0.1')
  await join('db', '10.0.0.2')
  const made = { name: 'weber', role: 'viewer', pools: ['web'] }
  const viewer = (await house.call<OperatorCreated>('POST', '/v1/operators', made)).json().token

  const all = await watch(house, house.admin)
  const some = await watch(house, viewer)
  const filtered = await watch(house, house.admin, '?pool=db')
  t.match(all.headers['content-type'], 'text/event-stream')
  t.equal(all.headers['x-content-type-options'], 'nosniff')
  const idsOf = (watch: Watch) => new Set(watch.events.map(({ data }) => (data as VmView).id))
  await all.until(() => idsOf(all).size === 2)
  await some.until(() => idsOf(some).size === 1)
  await filtered.until(() => idsOf(filtered).size === 1)
  await web.open({ health: 'healthy' })
  const isReady = ({ event, data }: { event: string; data: unknown }) =>
    event === 'vm' && (data as VmView).id === web.vm && (data as VmView).phase === 'ready'
  await all.until(() => all.events.some(isReady))
  await some.until(() => some.events.some(isReady))
  t.same([...idsOf(some)], [web.vm])
  t.notOk(filtered.events.some(({ data }) => (data as VmView).id === web.vm))
  for (const one of [all, some, filtered]) one.close()
  web.close()
})

t.test('a watcher hears that it is still there, until its token is taken away', async (t) => {
  const clock = createFakeClock(Date.now())
  const house = await startController({ clock })
  t.teardown(() => house.close())
  const made = { name: 'weber', role: 'viewer' }
  const viewer = (await house.call<OperatorCreated>('POST', '/v1/operators', made)).json().token
  const watcher = await watch(house, viewer)
  await watcher.until(() => watcher.status === 200)
  while (watcher.comments === 0) {
    await clock.advance(10_000)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await house.call('DELETE', '/v1/operators/weber')
  let ended = false
  void watcher.ended.then(() => {
    ended = true
  })
  while (!ended) {
    await clock.advance(10_000)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  t.ok(ended)
})

t.test('no more than so many watch, and all are let go when the controller stops', async (t) => {
  const house = await startController({ config: { limits: { watchers: 2 } } })
  t.teardown(() => house.close())
  const one = await watch(house, house.admin)
  const two = await watch(house, house.admin)
  const three = await watch(house, house.admin)
  t.same([one.status, two.status, three.status], [200, 200, 503])
  t.ok(Number(three.headers['retry-after']) > 0)
  two.close()
  await two.ended
  let four = await watch(house, house.admin)
  while (four.status === 503) four = await watch(house, house.admin)
  t.equal(four.status, 200, 'a place is free again')
  await house.close()
  await Promise.all([one.ended, four.ended])
  t.pass('they ended')
})

t.test('plain HTTP gets no answer worth having', async (t) => {
  const house = await startController()
  t.teardown(() => house.close())
  const answered = await new Promise<boolean>((resolve) => {
    const outgoing = request(`${house.url.replace('https', 'http')}/healthz`, () => resolve(true))
    outgoing.on('error', () => resolve(false))
    outgoing.end()
  })
  t.notOk(answered)
})
