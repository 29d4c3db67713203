import { waitFor } from '../../world/waiting.ts'
import { echo, type World } from '../../world/world.ts'
import type { Side } from './side.ts'

/** Mooring: the agent that ships, with its configuration, a token and the sidecar's program. */
export function createMooringSide({ operator }: Pick<World, 'operator'>): Side {
  return {
    name: 'mooring',
    host: echo.host,
    async prepare(member) {
      return {
        start: async () => void (await member.startAgent()),
        shutDown: async () => void (await member.shutDown()),
        async killSidecar() {
          const { pilotAgent } = await member.sidecar()
          if (pilotAgent === undefined) throw new Error(`${member.name} has no sidecar`)
          process.kill(pilotAgent, 'SIGKILL')
        },
        async forget() {
          const { id, phase } = await member.view()
          if (phase === 'left') return
          await operator.remove(id, { now: true })
          await waitFor(async () => (await operator.vm(id)).phase === 'left', {
            what: `${member.name} to be gone`,
          })
        },
      }
    },
  }
}
