/**
 * A load generator: `node load-client.ts --host H --http1 8080 --http2 8081 --grpc 8081 --tcp 8082 --download 8080`.
 *
 * A protocol runs when its port is given. It prints JSON lines: `started`, `first-ok`, `progress`, with `--failures` each
 * `failure`, and at the end a `summary`. It ends after `--seconds`, on SIGTERM, or when its standard input (a pipe)
 * ends: open requests then finish and count; on a second signal they are cancelled. It never retries.
 */
import { fstatSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import type { LoadCaller } from './load-caller.ts'
import { createHttp1Caller } from './load-http1.ts'
import { createGrpcCaller, createHttp2Caller } from './load-http2.ts'
import { createLoadReport, type LoadProtocol, loadProtocols } from './load-report.ts'
import { createTcpCaller } from './load-tcp.ts'
import { runLoadWorker } from './load-worker.ts'

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    host: { ...text, default: '127.0.0.1' },
    authority: text,
    path: { ...text, default: '/' },
    http1: text,
    http2: text,
    grpc: text,
    download: text,
    tcp: text,
    'http1-workers': { ...text, default: '2' },
    'http2-workers': { ...text, default: '2' },
    'grpc-workers': { ...text, default: '2' },
    'download-workers': { ...text, default: '1' },
    'tcp-workers': { ...text, default: '2' },
    // Requests a second of all workers of a protocol together; streams and downloads follow each other at once.
    'http1-rate': { ...text, default: '20' },
    'http2-rate': { ...text, default: '20' },
    'grpc-rate': { ...text, default: '1000' },
    'download-rate': { ...text, default: '1000' },
    'tcp-rate': { ...text, default: '20' },
    'grpc-ms': { ...text, default: '2000' },
    'download-seconds': { ...text, default: '30' },
    'tcp-reopen-ms': { ...text, default: '2000' },
    seconds: { ...text, default: '10' },
    'limit-ms': { ...text, default: '15000' },
    'progress-ms': { ...text, default: '1000' },
    failures: { type: 'boolean', default: false },
  },
})

const now = () => Date.now()
const print = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`)
const stop = new AbortController()
const giveUp = new AbortController()
const protocols = loadProtocols.filter((protocol) => values[protocol] !== undefined)
const report = createLoadReport({ now, protocols, emit: print, everyFailure: values.failures })

function createCaller(protocol: LoadProtocol): LoadCaller {
  const authority = values.authority ?? (isIP(values.host) === 6 ? `[${values.host}]` : values.host)
  const target = { host: values.host, port: Number(values[protocol]), authority, path: values.path }
  if (protocol === 'http1') return createHttp1Caller(target)
  if (protocol === 'http2') return createHttp2Caller(target)
  if (protocol === 'grpc') return createGrpcCaller(target, Number(values['grpc-ms']))
  if (protocol === 'download')
    return createHttp1Caller({ ...target, path: `/download?seconds=${values['download-seconds']}` })
  return createTcpCaller({
    target,
    reopenMs: Number(values['tcp-reopen-ms']),
    now,
    onLost: ({ code, message }, openedAt) => report.failed('tcp', { code, detail: message }, openedAt),
  })
}

// What a request takes by its nature comes on top of the limit.
const natural: Partial<Record<LoadProtocol, number>> = {
  grpc: Number(values['grpc-ms']),
  download: Number(values['download-seconds']) * 1000,
}

const workers = protocols.flatMap((protocol) => {
  const count = Number(values[`${protocol}-workers`])
  const intervalMs = (1000 * count) / Number(values[`${protocol}-rate`])
  const limitMs = Number(values['limit-ms']) + (natural[protocol] ?? 0)
  return Array.from({ length: count }, () =>
    runLoadWorker({
      protocol,
      caller: createCaller(protocol),
      report,
      intervalMs,
      limitMs,
      now,
      stop: stop.signal,
      giveUp: giveUp.signal,
    }),
  )
})
print({ event: 'started', time: now(), pid: process.pid, protocols })

const lifetime = setTimeout(() => stop.abort(), Number(values.seconds) * 1000)
const progress = setInterval(() => {
  const { requests, failed, firstOkAt, instances } = report.summary()
  print({ event: 'progress', time: now(), requests, failed, firstOkAt, instances })
}, Number(values['progress-ms']))

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    if (stop.signal.aborted) giveUp.abort()
    stop.abort()
  })
const input = fstatSync(0)
// Not /dev/null, which is at its end from the start.
if (input.isFIFO() || input.isSocket()) process.stdin.once('close', () => stop.abort()).resume()

await Promise.all(workers)
clearTimeout(lifetime)
clearInterval(progress)
print(report.summary())
// A lingering connection of the other side must not keep it from ending; what was printed is out before.
process.stdout.write('', () => process.exit(0))
