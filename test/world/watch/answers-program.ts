/**
 * Runs in a VM: `node answers-program.ts --url U [--pause-ms 4] [--limit-ms 1000]` asks the URL again and again over one
 * kept connection, and prints a JSON line whenever status or instance differ from those of the answer before.
 */
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { monotonicMs } from './monotonic.ts'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    'pause-ms': { type: 'string', default: '4' },
    'limit-ms': { type: 'string', default: '1000' },
  },
})
const { url } = values
if (url === undefined) throw new Error('--url is missing')
const pauseMs = Number(values['pause-ms'])
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

interface Answer {
  /** 0: no answer within the limit. */
  readonly status: number
  readonly instance: string
}

function ask(url: string): Promise<Answer> {
  return new Promise((resolve) => {
    // Not the socket's own timeout: that counts idle time, and a trickle would go on for ever.
    const signal = AbortSignal.timeout(Number(values['limit-ms']))
    const failed = () => resolve({ status: 0, instance: '' })
    const sent = get(url, { agent, signal }, (response) => {
      const instance = response.headers['x-instance']
      const status = response.statusCode ?? 0
      response.resume().once('error', failed)
      response.once('end', () => resolve({ status, instance: typeof instance === 'string' ? instance : '' }))
    })
    sent.once('error', failed)
  })
}

let last = ''
for (;;) {
  const begunAt = monotonicMs()
  const answer = await ask(url)
  const kind = `${answer.status} ${answer.instance}`
  if (kind !== last) process.stdout.write(`${JSON.stringify({ begunAt, at: monotonicMs(), ...answer })}\n`)
  last = kind
  await sleep(pauseMs)
}
