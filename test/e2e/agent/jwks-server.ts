/** Serves the key set in `JWKS` at 127.0.0.1:`PORT`, for an istiod in the same network namespace. */
import { createServer } from 'node:http'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(process.env.JWKS)
})
server.listen(Number(process.env.PORT), '127.0.0.1')
