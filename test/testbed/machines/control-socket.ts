import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import { TestbedError } from '../testbed-error.ts'

/** Gives the emulator one command of its machine protocol and waits for the answer. */
export function controlEmulator(path: string, command: string, limitMs = 15_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    const fail = (why: string, cause?: unknown) => {
      end()
      reject(new TestbedError('COMMAND_FAILED', `${command} at ${path}: ${why}`, cause))
    }
    const limit = setTimeout(() => fail('no answer'), limitMs)
    const end = () => {
      clearTimeout(limit)
      socket.destroy()
    }
    socket.on('error', (cause) => fail(cause.message, cause))
    socket.on('close', () => fail('closed'))
    let answers = 0
    createInterface({ input: socket }).on('line', (line) => {
      const said = JSON.parse(line) as { QMP?: unknown; return?: unknown; error?: { desc?: string } }
      if (said.QMP !== undefined) {
        for (const execute of ['qmp_capabilities', command]) socket.write(`${JSON.stringify({ execute })}\n`)
      } else if (said.error !== undefined) fail(said.error.desc ?? line)
      else if (said.return !== undefined && ++answers === 2) {
        end()
        resolve()
      }
    })
  })
}
