/**
 * Runs where istiod does: `node updates-program.ts --url http://127.0.0.1:15014/metrics [--every-ms 5]` prints a JSON line
 * whenever istiod has counted another update of its registry or configuration.
 */
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { monotonicMs } from './monotonic.ts'
import { parseUpdates } from './updates.ts'

const { values } = parseArgs({
  options: { url: { type: 'string' }, 'every-ms': { type: 'string', default: '5' } },
})
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

function metrics(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = get(url, { agent, timeout: 5_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.once('error', reject)
      response.once('end', () => resolve(text))
    })
    sent.once('timeout', () => sent.destroy(new Error('istiod is silent')))
    sent.once('error', reject)
  })
}

let known = -1
for (;;) {
  const begunAt = monotonicMs()
  const updates = parseUpdates(await metrics(values.url ?? ''))
  if (updates !== known) process.stdout.write(`${JSON.stringify({ begunAt, at: monotonicMs(), updates })}\n`)
  known = updates
  await sleep(Number(values['every-ms']))
}
