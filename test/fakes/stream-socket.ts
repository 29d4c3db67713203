import type { StreamSocket } from '../../controller/fleet/streams.ts'
import type { Down, Up } from '../../shared/api/stream.ts'

/** A WebSocket with the agent's end in the test's hand. */
export interface TestSocket extends StreamSocket {
  readonly received: readonly Down[]
  readonly closed: { readonly code: number; readonly reason: string } | undefined
  /** The agent says this. */
  say(message: Up | Record<string, unknown> | string): void
  /** The agent's end goes away, or the network under it. */
  hangUp(): void
  onDown(listener: (message: Down) => void): void
}

export function testSocket(): TestSocket {
  const received: Down[] = []
  const downs: ((message: Down) => void)[] = []
  let closed: TestSocket['closed']
  let onMessage = (_text: string) => {}
  let onClose = () => {}
  return {
    received,
    get closed() {
      return closed
    },
    send(text) {
      if (closed !== undefined) return
      const message = JSON.parse(text) as Down
      received.push(message)
      for (const listener of downs) listener(message)
    },
    close(code, reason) {
      closed ??= { code, reason }
      onClose()
    },
    terminate() {
      this.close(1006, '')
    },
    onMessage: (listener) => {
      onMessage = listener
    },
    onClose: (listener) => {
      onClose = listener
    },
    say: (message) => onMessage(typeof message === 'string' ? message : JSON.stringify(message)),
    hangUp() {
      this.close(1006, '')
    },
    onDown: (listener) => void downs.push(listener),
  }
}
