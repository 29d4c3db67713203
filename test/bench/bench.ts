import type { Progress } from '../testbed/progress.ts'
import type { Figure } from './figure.ts'

/** One benchmark. */
export interface Bench {
  readonly name: string
  /** What it measures, in a line. */
  readonly about: string
  run(deps: BenchDeps): Promise<BenchResult>
}

/** Sizes of what is measured, where the person named one; each benchmark has its own default. */
export interface Sizes {
  readonly vms?: number
  readonly joins?: number
  readonly seconds?: number
}

export interface BenchDeps {
  readonly n: number
  readonly sizes: Sizes
  /** Folder for the controller's processor profile; absent: none is taken, since it slows what it looks at. */
  readonly profile: string | undefined
  readonly progress: Progress
  /** Aborted when the person has had enough; what is under way need not heed it. */
  readonly signal: AbortSignal
  /** Done at the end, whatever the end is; also while `run` is still at work, when it is broken off. */
  atEnd(cleanUp: () => Promise<void>): void
}

export interface BenchResult {
  /** What `--json` writes, beside the samples. */
  readonly json: object
  /** Everything as it was measured. */
  readonly samples: object
  readonly figures: readonly Figure[]
  /** What a reader of the figures must know, a sentence each. */
  readonly remarks: readonly string[]
}
