import { createServer, type Server } from 'node:net'

/** The application's plain TCP side: each line comes back with the instance's name before it. */
export function createAppTcp(deps: { readonly instance: string }): Server {
  return createServer({ allowHalfOpen: false }, (socket) => {
    socket.on('error', () => {})
    socket.setNoDelay(true)
    let partial = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n')
      partial = lines.pop() ?? ''
      for (const line of lines) socket.write(`${deps.instance} ${line}\n`)
    })
  })
}
