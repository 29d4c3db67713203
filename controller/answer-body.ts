import type { IncomingMessage } from 'node:http'

/** The body of an answer as text; undefined when it has more bytes than `most`, of which no more is read then. */
export async function readBody(answer: IncomingMessage, most: number): Promise<string | undefined> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of answer as AsyncIterable<Buffer>) {
    size += part.length
    if (size > most) {
      answer.destroy()
      return undefined
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
