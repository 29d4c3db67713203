import { chmod, mkdir, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { errorText, isErrorCode, isMooringError, MooringError } from '../../shared/errors.ts'

/** What the command line asks of the running agent; one JSON object a line. */
export const LocalRequest = Type.Object({
  kind: Type.Union([
    Type.Literal('status'),
    Type.Literal('drain'),
    Type.Literal('leave'),
    Type.Literal('join'),
  ]),
  /** Why, for `leave` and `drain`; without it an operator wants it. */
  reason: Type.Optional(Type.Union([Type.Literal('operator'), Type.Literal('shutdown')])),
})
export type LocalRequest = Static<typeof LocalRequest>

const LocalAnswer = Type.Union([
  Type.Object({ ok: Type.Literal(true), value: Type.Unknown() }),
  Type.Object({
    ok: Type.Literal(false),
    code: Type.String({ maxLength: 64 }),
    detail: Type.Optional(Type.String({ maxLength: 4096 })),
  }),
])

const maxRequest = 4096
const maxAnswer = 512 * 1024
const requestMs = 5_000

/** Listens at `path` for root alone. What `answer` throws goes back to the caller. */
export async function serveLocal(
  path: string,
  answer: (request: LocalRequest) => Promise<unknown>,
): Promise<{ close(): Promise<void> }> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  // The lock says that no other agent lives: what is there is a dead one's.
  await rm(path, { force: true })
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.setTimeout(requestMs, () => socket.destroy())
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    readLine(socket, maxRequest).then(
      async (line) => {
        // The answer may take as long as a drain.
        socket.setTimeout(0)
        socket.end(`${JSON.stringify(await reply(line))}\n`)
      },
      () => socket.destroy(),
    )
  })
  const before = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
  } finally {
    process.umask(before)
  }
  await chmod(path, 0o600)
  return {
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await rm(path, { force: true })
    },
  }

  async function reply(line: string): Promise<Static<typeof LocalAnswer>> {
    try {
      const request = parse(LocalRequest, line)
      if (request === undefined) throw new MooringError('REQUEST_INVALID', { detail: 'unknown request' })
      return { ok: true, value: (await answer(request)) ?? null }
    } catch (error) {
      const code = isMooringError(error) ? error.code : 'INTERNAL'
      const detail = isMooringError(error) ? error.detail : errorText(error)
      return { ok: false, code, ...(detail !== undefined && { detail }) }
    }
  }
}

/** Asks the agent that listens at `path`. Throws `NOT_RUNNING` when there is none. */
export async function askLocal(path: string, request: LocalRequest, timeoutMs: number): Promise<unknown> {
  const socket = connect(path)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', (cause) => reject(new MooringError('NOT_RUNNING', { cause })))
    })
    socket.on('error', () => socket.destroy())
    socket.setTimeout(timeoutMs, () => socket.destroy())
    socket.write(`${JSON.stringify(request)}\n`)
    const answer = parse(LocalAnswer, await readLine(socket, maxAnswer))
    if (answer === undefined) throw new MooringError('INTERNAL', { detail: 'the agent answered nonsense' })
    if (answer.ok) return answer.value
    const { code, detail } = answer
    if (isErrorCode(code)) throw new MooringError(code, detail === undefined ? {} : { detail })
    throw new MooringError('INTERNAL', { detail: `${code}: ${detail ?? ''}` })
  } finally {
    socket.destroy()
  }
}

function readLine(socket: Socket, max: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (part) => {
      text += part
      const end = text.indexOf('\n')
      if (end >= 0) resolve(text.slice(0, end))
      else if (text.length > max) reject(new MooringError('REQUEST_TOO_LARGE'))
    })
    socket.once('close', () =>
      reject(
        new MooringError('NOT_RUNNING', { detail: 'the agent closed the connection without an answer' }),
      ),
    )
  })
}

function parse<T extends TSchema>(schema: T, line: string): Static<T> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return Value.Check(schema, value) ? value : undefined
  } catch {
    return undefined
  }
}
