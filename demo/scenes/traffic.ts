import { call } from '../../test/world/call.ts'
import { waitFor } from '../../test/world/waiting.ts'
import { echo } from '../../test/world/world.ts'
import type { Cast } from '../cast.ts'
import type { TrafficFigures } from '../figures.ts'
import { parseForwardedCert } from '../forwarded-cert.ts'
import { acts, answered, identities, notRefused, refused, steps } from '../narration.ts'
import { clientIdentity } from '../promises.ts'

const url = `http://${echo.host}:${echo.http}/`

/** The client calls, both servers answer, the caller is known, and plain text is refused. */
export async function trafficScene({ stage, world, client, servers }: Cast): Promise<TrafficFigures> {
  stage.act(acts.traffic)
  const calling = stage.start(steps.calls(`${echo.host}:${echo.http}`))
  const by = new Set<string>()
  const seen = await waitFor(
    async () => {
      const { status, body } = await call(client, url)
      if (status !== 200) return undefined
      const answer = JSON.parse(body) as { instance: string; clientCert: string | null }
      by.add(answer.instance)
      return by.size === servers.size && answer.clientCert
    },
    { what: 'an answer of each server' },
  )
  calling.done(answered([...by].toSorted()))

  const asking = stage.start(steps.identity)
  const { caller, server } = parseForwardedCert(seen)
  if (caller === clientIdentity) asking.done(identities(caller, server))
  else asking.broken(identities(caller, server))

  const [target] = servers.values()
  if (target === undefined) throw new Error('no server is left')
  const trying = stage.start(steps.plainText(target.name))
  const plain = await call(world.network.host, `http://${target.vm.address}:${echo.http}/`)
  const plainText = { refused: plain.status === 0, error: plain.error }
  if (plainText.refused) trying.done(refused(plain.error))
  else trying.broken(notRefused(plain.body))
  return { answeredBy: [...by].toSorted(), caller, server, plainText }
}
