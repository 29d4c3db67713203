import { createConnection } from 'node:net'
import type { CommandResult } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'

/** The unit inside an emulated machine that runs what comes through its port, one line at a time. */
export function shellUnit(port: string): string {
  return [
    '[Unit]',
    'Description=Runs what the testbed asks for',
    'DefaultDependencies=no',
    'After=sysinit.target',
    '[Service]',
    `ExecStart=/bin/bash -c 'exec <>/dev/virtio-ports/${port} >&0; while read -r line; do eval "$line"; done'`,
    'Restart=always',
    'RestartSec=1',
    // Restarted as often as it takes until the port is there.
    'StartLimitIntervalSec=0',
    'StandardError=null',
    'Environment=HOME=/root LANG=C.UTF-8',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n')
}

/** The line that runs a command and answers with its code and what it said, marked with `id`. */
export function shellLine(id: string, command: string, args: readonly string[], input = ''): string {
  const words = [command, ...args].map(quoted).join(' ')
  const said = Buffer.from(input).toString('base64')
  const files = `/run/testbed-${id}`
  return [
    `echo ${said} | base64 -d | ${words} >${files}.out 2>${files}.err; code=$?`,
    `echo "${id} $code $(base64 -w0 ${files}.out) $(base64 -w0 ${files}.err)."`,
    `rm -f ${files}.*`,
  ].join('; ')
}

/** What such a line was answered with; `undefined` where this is no answer to it. */
export function shellAnswer(id: string, text: string): CommandResult | undefined {
  const found = new RegExp(`${id} (\\d+) ([A-Za-z0-9+/=]*) ([A-Za-z0-9+/=]*)\\.`).exec(text)
  if (found === null) return undefined
  const [stdout = '', stderr = ''] = found
    .slice(2)
    .map((each) => Buffer.from(each, 'base64').toString('utf8'))
  return { code: Number(found[1]), stdout, stderr }
}

/** A shell inside an emulated machine, reached without its network. */
export interface ShellPort {
  run(command: string, args: readonly string[], input: string, limitMs: number): Promise<CommandResult>
  close(): void
}

/** Connects to the port, and stays so: the shell inside ends when it is left. */
export function createShellPort(path: string): ShellPort {
  let text = ''
  let count = 0
  let last: Promise<unknown> = Promise.resolve()
  const socket = createConnection(path)
  const gone = new Promise<never>((_, reject) => {
    socket.once('close', () => reject(new TestbedError('MACHINE_OFF', `nobody is behind ${path}`)))
  })
  gone.catch(() => {})
  socket.on('error', () => {})
  const heard = new EventTarget()
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    heard.dispatchEvent(new Event('data'))
  })

  async function ask(command: string, args: readonly string[], input: string, limitMs: number) {
    const id = `answer-${++count}`
    text = ''
    const limit = AbortSignal.timeout(limitMs)
    const answered = new Promise<CommandResult>((resolve, reject) => {
      const look = () => {
        const answer = shellAnswer(id, text)
        if (answer !== undefined) resolve(answer)
      }
      heard.addEventListener('data', look, { signal: limit })
      const late = () => reject(new TestbedError('COMMAND_TIMED_OUT', `${command} after ${limitMs} ms`))
      limit.addEventListener('abort', late, { once: true })
    })
    socket.write(`${shellLine(id, command, args, input)}\n`)
    return Promise.race([answered, gone])
  }

  return {
    // One after the other: there is one shell.
    run(command, args, input, limitMs) {
      const answer = last.then(() => ask(command, args, input, limitMs))
      last = answer.catch(() => {})
      return answer
    },
    close: () => socket.destroy(),
  }
}

// Bash's own quotes, since what is sent must be one line.
function quoted(word: string): string {
  const escaped = word.replaceAll(/['\\]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
  return `$'${escaped}'`
}
