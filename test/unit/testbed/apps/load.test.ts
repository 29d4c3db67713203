import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, type Server } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { createFrameReader, encodeFrame } from '../../../testbed/apps/grpc-frames.ts'
import { createLoadReport, type LoadSummary } from '../../../testbed/apps/load-report.ts'

const apps = fileURLToPath(new URL('../../../testbed/apps/', import.meta.url))
const env = { PATH: process.env.PATH }

interface Ports {
  readonly http: number
  readonly http2: number
  readonly tcp: number
}

function start(program: string, args: readonly string[]) {
  const child = spawn(process.execPath, [`${apps}${program}`, ...args], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const events: Record<string, unknown>[] = []
  const wakers = new Set<() => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line))
    for (const wake of wakers) wake()
  })
  const event = <T>(name: string, fits: (event: T) => boolean = () => true) =>
    new Promise<T>((resolve) => {
      const look = () => {
        const found = events.find((each) => each.event === name && fits(each as T))
        if (found === undefined) return
        wakers.delete(look)
        resolve(found as T)
      }
      wakers.add(look)
      look()
    })
  return { child, event }
}

async function startApp(name: string): Promise<{ child: ChildProcess; ports: Ports }> {
  const ports = ['--http', '0', '--http2', '0', '--tcp', '0']
  const app = start('app-server.ts', ['--name', name, '--bind', '127.0.0.1', ...ports])
  return { child: app.child, ports: await app.event<Ports>('listening') }
}

function allProtocols({ http, http2, tcp }: Ports): readonly string[] {
  const ports = { http1: http, http2, grpc: http2, tcp, download: http }
  return Object.entries(ports).flatMap(([protocol, port]) => [`--${protocol}`, String(port)])
}

t.test('against a server that lives, every protocol answers and nothing fails', async (t) => {
  const app = await startApp('alpha')
  const client = start('load-client.ts', [
    ...allProtocols(app.ports),
    ...['--grpc-ms', '300', '--download-seconds', '0.5', '--tcp-reopen-ms', '200', '--progress-ms', '100'],
    ...['--seconds', '120'],
  ])
  await client.event('first-ok')
  await client.event<{ requests: number }>('progress', (event) => event.requests > 60)
  client.child.kill('SIGTERM')
  const summary = await client.event<LoadSummary>('summary')

  t.equal(summary.failed, 0, JSON.stringify(summary.byProtocol))
  for (const protocol of ['http1', 'http2', 'grpc', 'tcp', 'download'] as const)
    t.ok((summary.byProtocol[protocol]?.requests ?? 0) > 0, `${protocol} answered`)
  t.same(Object.keys(summary.instances), ['alpha'])
  t.equal(
    summary.timeline.reduce((sum, second) => sum + second.requests, 0),
    summary.requests,
  )
  t.ok(summary.firstOkAt !== null && summary.firstOkAt >= summary.startedAt)

  const ended = new Promise((resolve) => app.child.once('exit', resolve))
  app.child.kill('SIGTERM')
  t.equal(await ended, 0, 'the server ends in order')
})

t.test('a server that is killed fails every protocol, with who had begun to answer', async (t) => {
  const app = await startApp('beta')
  const client = start('load-client.ts', [
    ...allProtocols(app.ports),
    ...[
      '--grpc-ms',
      '60000',
      '--download-seconds',
      '60',
      '--seconds',
      '120',
      '--progress-ms',
      '100',
      '--failures',
    ],
  ])
  type Failure = { protocol: string; instance?: string }
  await client.event<{ instances: Record<string, { answers: number }> }>(
    'progress',
    ({ instances }) => (instances.beta?.answers ?? 0) > 20,
  )
  app.child.kill('SIGKILL')
  const failures = await Promise.all(
    ['http1', 'http2', 'grpc', 'tcp', 'download'].map((protocol) =>
      client.event<Failure>('failure', (failure) => failure.protocol === protocol),
    ),
  )
  for (const { protocol, instance } of failures)
    if (protocol === 'grpc' || protocol === 'download') t.equal(instance, 'beta', `${protocol} was cut off`)
  client.child.stdin?.end()
  const summary = await client.event<LoadSummary>('summary')
  for (const protocol of ['http1', 'http2', 'grpc', 'tcp', 'download'] as const)
    t.ok((summary.byProtocol[protocol]?.errors.length ?? 0) > 0, `${protocol} lists its errors`)
})

t.test('a truncated body, a wrong status and a missing grpc-status are failures', async (t) => {
  const truncating = await listen('HTTP/1.1 200 OK\r\ncontent-length: 100\r\nx-instance: t\r\n\r\nonly this')
  const refusing = await listen('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy')
  const app = await startApp('gamma')
  for (const [args, code] of [
    [['--http1', String(truncating)], /^(TRUNCATED|ECONNRESET)$/],
    [['--http1', String(refusing)], /^HTTP_503$/],
    [['--http2', String(app.ports.http2), '--path', '/slow?ms=60000', '--limit-ms', '200'], /^TIMEOUT$/],
    [['--grpc', String(app.ports.http)], /./],
  ] as const) {
    const client = start('load-client.ts', [...args, '--seconds', '120', '--failures'])
    const failure = await client.event<{ code: string }>('failure')
    t.match(failure.code, code)
    client.child.stdin?.end()
    const summary = await client.event<LoadSummary>('summary')
    t.equal(summary.failed, summary.requests)
    t.equal(summary.firstOkAt, null)
  }
})

t.test('told twice to stop, it cancels what is open, and that is no failure', async (t) => {
  const app = await startApp('delta')
  const client = start('load-client.ts', [
    ...['--download', String(app.ports.http), '--download-seconds', '60', '--progress-ms', '50'],
  ])
  await client.event<{ instances: object }>('progress', ({ instances }) => 'delta' in instances)
  const exited = new Promise((resolve) => client.child.once('exit', resolve))
  // The two signals may arrive as one: repeat the second until it has been heard.
  client.child.kill('SIGTERM')
  const again = setInterval(() => client.child.kill('SIGTERM'), 50)
  t.teardown(() => clearInterval(again))
  const summary = await client.event<LoadSummary>('summary')
  await exited
  clearInterval(again)
  t.match(summary, { requests: 0, failed: 0, cancelled: 1 })
})

t.test('frames of gRPC come out as they went in, wherever the chunks are cut', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 })),
      fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
      (messages, sizes) => {
        const whole = Buffer.concat(messages.map((message) => encodeFrame(Buffer.from(message))))
        const reader = createFrameReader()
        const received: Buffer[] = []
        for (let at = 0; at < whole.length; ) {
          const size = sizes.next().value as number
          received.push(...reader.push(whole.subarray(at, at + size)))
          at += size
        }
        return (
          reader.pending === 0 &&
          received.every((each, i) => each.equals(Buffer.from(messages[i] ?? []))) &&
          received.length === messages.length
        )
      },
    ),
  )
  const cut = createFrameReader()
  t.same(cut.push(encodeFrame(Buffer.from('hello')).subarray(0, 8)), [])
  t.equal(cut.pending, 8)
})

t.test('the report knows when an instance last answered something new', async (t) => {
  let time = 1000
  const emitted: object[] = []
  const report = createLoadReport({
    now: () => time,
    protocols: ['tcp'],
    emit: (event) => emitted.push(event),
    everyFailure: false,
  })
  report.answered('a', 1000, true)
  report.succeeded('tcp', 1000)
  time = 2500
  report.answered('a', 2400, false)
  report.failed('tcp', { code: 'CLOSED', detail: 'gone', instance: 'a' }, 1000)
  for (let i = 0; i < 30; i++) report.failed('tcp', { code: 'ECONNREFUSED', detail: 'no' }, 2500)
  const summary = report.summary()
  t.match(summary.instances.a, {
    answers: 2,
    firstAnswerAt: 1000,
    lastAnswerAt: 2500,
    lastNewRequestAt: 1000,
  })
  t.match(summary, { requests: 32, failed: 31, firstOkAt: 1000 })
  t.equal(summary.byProtocol.tcp?.errors.length, 20)
  t.same(summary.byProtocol.tcp?.errors[0], { time: 2500, code: 'CLOSED', detail: 'gone', instance: 'a' })
  t.same(emitted, [{ event: 'first-ok', time: 1000, protocol: 'tcp' }])
  t.same(
    summary.timeline.map(({ second, requests, failed }) => [second, requests, failed]),
    [
      [0, 1, 0],
      [1, 31, 31],
    ],
  )
})

async function listen(answer: string): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
