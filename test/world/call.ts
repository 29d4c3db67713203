import type { Namespace } from '../testbed/network/namespace.ts'

/** One request as a program in a namespace makes it. `status` 0: no answer, `error` says why. */
export interface Answer {
  readonly status: number
  readonly body: string
  readonly error: string
}

// The runtime that runs the tests, since curl is not on every machine.
const program = `
const http = require('node:http')
const [url, limit] = process.argv.slice(1)
const done = (answer) => { console.log(JSON.stringify(answer)); process.exit(0) }
const request = http.get(url, { agent: false, timeout: Number(limit) }, (response) => {
  let body = ''
  response.on('data', (part) => { body += part })
  response.on('end', () => done({ status: response.statusCode, body, error: '' }))
})
request.on('timeout', () => request.destroy(new Error('timeout')))
request.on('error', (error) => done({ status: 0, body: '', error: String(error.code ?? error.message) }))
`

/** Makes one GET from inside a namespace (a VM's goes through its sidecar). */
export async function call(from: Pick<Namespace, 'exec'>, url: string, limitMs = 15_000): Promise<Answer> {
  const { stdout, stderr, code } = await from.exec(process.execPath, ['-e', program, url, String(limitMs)])
  if (code !== 0) throw new Error(`the caller failed: ${stderr}`)
  return JSON.parse(stdout) as Answer
}
