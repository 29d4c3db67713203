import type { Progress } from '../testbed/progress.ts'
import type { Figure } from './figure.ts'

/** One benchmark. */
export interface Bench {
  readonly name: string
  /** What it measures, in a line. */
  readonly about: string
  run(deps: BenchDeps): Promise<BenchResult>
}

export interface BenchDeps {
  readonly n: number
  readonly progress: Progress
  readonly signal: AbortSignal
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
