/**
 * Where the compiled executable starts. The agent that stays is started once more in place, without compilers
 * for its own code: it waits nearly all of its life, and they cost 14 MB. They can be switched off by the
 * environment alone, which is read before the first line of a program.
 */
import { datagramVariables } from '../../agent/host/datagram.ts'

const [, , command] = process.argv
const settledMs = 20_000
const lean = { BUN_JSC_useJIT: '0' }
if (command === 'run' && process.env.BUN_JSC_useJIT === undefined) {
  const { execPath, env } = process
  const args = process.argv.slice(2)
  if (env.NOTIFY_SOCKET !== undefined || env.JOURNAL_STREAM !== undefined) {
    const { restartWith } = await import('./datagrams.ts')
    // Where memory may not be executable after it was written there are no calls into libc, and nothing is lost but ease.
    await restartWith(
      execPath,
      args,
      { ...env, ...lean },
      {
        [datagramVariables.notify]: env.NOTIFY_SOCKET,
        [datagramVariables.journal]: env.JOURNAL_STREAM && '/run/systemd/journal/socket',
      },
    ).catch(() => {})
  }
  process.execve?.(execPath, [execPath, ...args], { ...env, ...lean })
}

// What only the start needed is given back when the agent has settled: 1 MB of 10.
const { Bun } = globalThis as { Bun?: { shrink?(): void } }
setTimeout(() => Bun?.shrink?.(), settledMs).unref()
await import('../../agent/main.ts')
