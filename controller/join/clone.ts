/** A machine shows the key of a VM whose stream is open. Is it that VM, coming again? */
export interface CloneQuestion {
  /** Whether the newcomer says that it is the same boot, at the same address. */
  readonly isSameMachine: boolean
  /** Whether a stream of the VM is open. */
  readonly connected: boolean
  /** Last time that something came through it. */
  readonly lastHeard: number
  /** How long the controller has listened since then; what came while it stood still is not read yet. */
  readonly listenedMs: number
  readonly heartbeatMs: number
  /** When this newcomer was first told to wait. */
  readonly suspectedSince: number | undefined
}

export type CloneJudgement = 'same' | 'wait' | 'clone'

/**
 * A machine that rebooted leaves a stream that nobody speaks into any more, and that looks open for a while.
 * So the newcomer waits; if the old stream is heard after that, two machines are alive with one key.
 */
export function judgeClone(question: CloneQuestion): CloneJudgement {
  const { isSameMachine, connected, lastHeard, listenedMs, heartbeatMs, suspectedSince } = question
  if (isSameMachine || !connected) return 'same'
  if (listenedMs > heartbeatMs * 2) return 'same'
  // One heartbeat may have been under way when the newcomer came.
  if (suspectedSince !== undefined && lastHeard > suspectedSince + heartbeatMs) return 'clone'
  return 'wait'
}
