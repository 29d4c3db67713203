/**
 * Where the compiled executable starts. The agent that stays is started once more in place, without compilers
 * for its own code: it waits nearly all of its life, and they cost 14 MB. They can be switched off by the
 * environment alone, which is read before the first line of a program. What calls into libc stays: by it the agent
 * gives back the pages that only its start needed.
 */
import { datagramVariables } from '../../agent/host/datagram.ts'
import { giveBack } from './give-back.ts'

const [, , command] = process.argv
const settledMs = 20_000
const lean = {
  BUN_JSC_useBaselineJIT: '0',
  BUN_JSC_useDFGJIT: '0',
  BUN_JSC_useFTLJIT: '0',
  BUN_JSC_useRegExpJIT: '0',
  BUN_JSC_useDOMJIT: '0',
  // A heap of a few MB needs no threads of its own, neither to look through it nor to have more of it ready.
  BUN_JSC_useConcurrentGC: '0',
  BUN_JSC_numberOfGCMarkers: '1',
  BUN_JSC_useWarmUpMarkedBlocks: '0',
}
if (command === 'run' && process.env.BUN_JSC_useBaselineJIT === undefined) {
  const { execPath } = process
  const args = process.argv.slice(2)
  const { handedVariable } = await import('../../agent/host/handed-config.ts')
  const { handOver } = await import('./hand-over.ts')
  const { [handedVariable]: _, ...own } = process.env
  const env: Record<string, string | undefined> = { ...own, ...lean, ...(await handOver(args)) }
  if (env.NOTIFY_SOCKET !== undefined || env.JOURNAL_STREAM !== undefined) {
    const { restartWith } = await import('./datagrams.ts')
    // Where memory may not be executable after it was written there are no calls into libc, and nothing is lost but ease.
    await restartWith(execPath, args, env, {
      [datagramVariables.notify]: env.NOTIFY_SOCKET,
      [datagramVariables.journal]: env.JOURNAL_STREAM && '/run/systemd/journal/socket',
    }).catch(() => {})
  }
  process.execve?.(execPath, [execPath, ...args], env)
}

// Where there are no calls into libc, the agent keeps what it has.
if (command === 'run') setTimeout(() => giveBack().catch(() => {}), settledMs).unref()
await import('../../agent/main.ts')
