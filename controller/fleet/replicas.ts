/**
 * The replicas of the controller, of which this is one. Two ship: `alone` (standalone, which has one) and
 * `leaseReplicas` (Kubernetes).
 */
export interface Replicas {
  /** Name of this one; never used again by another, nor after a restart where there are several. */
  readonly self: string
  /** Whether others may work on the same resources. */
  readonly several: boolean
  /** Whether this one leads now; says no before another one may begin. */
  leads(): boolean
  /** Whether what is known of the resources is recent enough to judge by it what others own. */
  isCurrent(): boolean
  /** How many run, this one included. */
  count(): number
  /** When that replica was last known to run, in Unix milliseconds of the own clock; undefined while it may run. */
  goneSince(name: string): number | undefined
  /** Told of a replica that is gone, or is back. */
  onChange(listener: (name: string) => void): () => void
}

/** The only replica: whoever was there before is gone. */
export function alone(self: string): Replicas {
  return {
    self,
    several: false,
    leads: () => true,
    isCurrent: () => true,
    count: () => 1,
    goneSince: (name) => (name === self ? undefined : 0),
    onChange: () => () => {},
  }
}
