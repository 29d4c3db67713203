import type {} from '@fastify/websocket'
import type { WebSocket } from 'ws'
import { closeCodes } from '../../shared/api/stream.ts'
import { paths } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { StreamSocket } from '../fleet/streams.ts'
import { type App, agentOnly } from './app.ts'

export interface StreamRoutesDeps {
  readonly fleet: Pick<Fleet, 'attach'>
}

/** An agent that reads so slowly that more than this waits for it is cut off: it comes back and is told anew. */
const mostUnsent = 1024 * 1024

/** Step 4 of the contract. */
export function streamRoutes(app: App, deps: StreamRoutesDeps): void {
  app.get(paths.stream, { websocket: true, config: { access: agentOnly } }, (socket, request) => {
    if (request.agent === null) throw new MooringError('UNAUTHENTICATED')
    deps.fleet.attach(streamSocket(socket), request.agent)
  })
}

/** The fleet's view of a WebSocket: texts only. */
export function streamSocket(socket: WebSocket): StreamSocket {
  // Faults (oversized, malformed frames) close the socket by themselves; unheard they would end the process.
  socket.on('error', () => {})
  return {
    send(text) {
      if (socket.readyState !== socket.OPEN) return
      if (socket.bufferedAmount > mostUnsent) socket.terminate()
      else socket.send(text)
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    onMessage(listener) {
      socket.on('message', (data, isBinary) => {
        if (isBinary) socket.close(closeCodes.protocol, 'text only')
        else listener(data.toString())
      })
    },
    onClose: (listener) => void socket.on('close', () => listener()),
  }
}
