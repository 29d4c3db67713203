/**
 * Runs in a VM: `node endpoints-program.ts [--every-ms 10] [--filter REGEX]` looks at Envoy's admin interface and prints
 * a JSON line whenever an endpoint came or went, with the times of the look that saw it. This is the peer's view.
 */
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { endpointChanges, type OpenEndpoints, parseClusters } from './clusters.ts'
import { monotonicMs } from './monotonic.ts'

const { values } = parseArgs({
  options: { 'every-ms': { type: 'string', default: '10' }, filter: { type: 'string' } },
})
const filter = values.filter === undefined ? '' : `?filter=${encodeURIComponent(values.filter)}`
const target = { host: '127.0.0.1', port: 15000, path: `/clusters${filter}`, timeout: 5_000 }
const everyMs = Number(values['every-ms'])

function look(): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = get(target, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.once('error', reject)
      response.once('end', () =>
        response.statusCode === 200
          ? resolve(text)
          : reject(new Error(`Envoy's admin interface answered ${response.statusCode}`)),
      )
    })
    sent.once('timeout', () => sent.destroy(new Error("Envoy's admin interface is silent")))
    sent.once('error', reject)
  })
}

let known: OpenEndpoints = new Map()
for (let first = true; ; first = false) {
  const begunAt = monotonicMs()
  const seen = parseClusters(await look())
  const changes = endpointChanges(known, seen)
  known = seen
  if (first || changes.opened.length + changes.closed.length > 0)
    process.stdout.write(`${JSON.stringify({ begunAt, at: monotonicMs(), ...changes })}\n`)
  await sleep(everyMs)
}
