/** An HTTP answer as far as it was read. */
export interface HttpReply {
  readonly status: number
  readonly body: string
  /** False when the body was longer than what is kept of it. */
  readonly whole: boolean
}

/** Why there is no answer although the server was reached. */
export interface HttpFault {
  readonly fault: string
}

/** Reads one HTTP/1.x answer, part by part as it comes from a connection. */
export interface AnswerReader {
  /** The answer once there is no more of it to come, or that it is none; undefined until then. */
  push(part: Uint8Array): HttpReply | HttpFault | undefined
  /** The same, when the connection ended. */
  end(): HttpReply | HttpFault
}

const maxHead = 32 * 1024
const headEnd = Buffer.from('\r\n\r\n')
const noHttp: HttpFault = { fault: 'the answer is not HTTP' }
const brokenOff: HttpFault = { fault: 'the answer was broken off' }

type Framing = { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' | 'close' }

/** Keeps up to `maxBody` bytes of the body. How long an answer is: RFC 9112, section 6.3. */
export function createAnswerReader(maxBody: number): AnswerReader {
  let head: { readonly status: number; readonly framing: Framing } | undefined
  let rest: Buffer = Buffer.alloc(0)

  const reply = (status: number, body: Buffer): HttpReply => ({
    status,
    body: body.toString('utf8', 0, maxBody),
    whole: body.length <= maxBody,
  })

  const look = (ended: boolean): HttpReply | HttpFault | undefined => {
    while (head === undefined) {
      const at = rest.indexOf(headEnd)
      if (at < 0 && rest.length <= maxHead && !ended) return undefined
      if (at < 0 || at > maxHead) return noHttp
      const found = parseHead(rest.toString('latin1', 0, at))
      if (found === undefined) return noHttp
      rest = rest.subarray(at + headEnd.length)
      // What comes before the answer (100 Continue, 103 Early Hints) says nothing yet.
      if (found.status >= 200) head = found
    }
    const { status, framing } = head
    if (framing.kind === 'chunked') {
      const body = unchunked(rest, maxBody)
      if (body !== undefined) return 'fault' in body ? body : reply(status, body)
    } else if (framing.kind === 'length') {
      const wanted = Math.min(framing.length, maxBody + 1)
      if (rest.length >= wanted) return reply(status, rest.subarray(0, wanted))
    } else if (ended || rest.length > maxBody) return reply(status, rest)
    return ended ? brokenOff : undefined
  }

  return {
    push(part) {
      rest = rest.length === 0 ? Buffer.from(part) : Buffer.concat([rest, part])
      return look(false)
    },
    end: () => look(true) ?? brokenOff,
  }
}

function parseHead(text: string): { status: number; framing: Framing } | undefined {
  const status = Number(/^HTTP\/1\.[01] ([1-5]\d\d)(?: |\r\n|$)/.exec(text)?.[1])
  return Number.isNaN(status) ? undefined : { status, framing: framingOf(status, text) }
}

function framingOf(status: number, head: string): Framing {
  if (status === 204 || status === 304) return { kind: 'length', length: 0 }
  const coding = /\r\ntransfer-encoding:[ \t]*([^\r\n]*)/i.exec(head)?.[1]
  if (coding !== undefined) return { kind: /\bchunked[ \t]*$/i.test(coding) ? 'chunked' : 'close' }
  const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?:\r\n|$)/i.exec(head)?.[1]
  return length === undefined ? { kind: 'close' } : { kind: 'length', length: Number(length) }
}

/** The body once its last chunk is there, or more of it than `max` bytes; chunks as in RFC 9112, section 7.1. */
function unchunked(data: Buffer, max: number): Buffer | HttpFault | undefined {
  const chunks: Buffer[] = []
  let length = 0
  for (let at = 0; ; ) {
    const lineEnd = data.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = /^([0-9a-f]{1,8})(?:[ \t;]|$)/i.exec(data.toString('latin1', at, lineEnd))?.[1]
    if (size === undefined) return noHttp
    const bytes = Number.parseInt(size, 16)
    // Trailers follow; nobody here reads them.
    if (bytes === 0) return Buffer.concat(chunks)
    const chunk = data.subarray(lineEnd + 2, lineEnd + 2 + bytes)
    chunks.push(chunk)
    length += chunk.length
    if (length > max) return Buffer.concat(chunks)
    if (chunk.length < bytes) return undefined
    at = lineEnd + 2 + bytes + 2
  }
}
