/** gRPC's own framing of messages in an HTTP/2 body: one byte for compression, four for the length, the message. */
const headerLength = 5

/** One uncompressed message as a frame. */
export function encodeFrame(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(headerLength + message.length)
  frame.writeUInt8(0, 0)
  frame.writeUInt32BE(message.length, 1)
  message.copy(frame, headerLength)
  return frame
}

/** Puts messages together from chunks that are cut anywhere. */
export interface FrameReader {
  /** The messages that this chunk completes. */
  push(chunk: Buffer): readonly Buffer[]
  /** Bytes of a message that is not complete; not 0 at the end of a body means that it was truncated. */
  readonly pending: number
}

/** A reader for one body. */
export function createFrameReader(): FrameReader {
  let buffered = Buffer.alloc(0)
  return {
    push(chunk) {
      buffered = Buffer.concat([buffered, chunk])
      const messages: Buffer[] = []
      while (buffered.length >= headerLength) {
        const end = headerLength + buffered.readUInt32BE(1)
        if (buffered.length < end) break
        messages.push(buffered.subarray(headerLength, end))
        buffered = buffered.subarray(end)
      }
      return messages
    },
    get pending() {
      return buffered.length
    },
  }
}
