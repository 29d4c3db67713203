/** A Lease as another replica, or this one, wrote it. */
export interface LeaseRecord {
  /** Empty when it was released. */
  readonly holder: string
  readonly durationMs: number
  /** Changes at every renewal. */
  readonly resourceVersion: string
}

/** When this replica first saw the lease as it is now, by its own clock. */
export interface Observation {
  readonly resourceVersion: string
  readonly at: number
}

export interface LeaseQuestion {
  readonly identity: string
  readonly now: number
  /** What is in the API server; undefined when there is none. */
  readonly lease: LeaseRecord | undefined
  readonly observed: Observation | undefined
}

export interface LeaseDecision {
  /** `create` and `take` make this replica the holder, `renew` keeps it so. */
  readonly do: 'create' | 'take' | 'renew' | 'wait'
  readonly observed: Observation | undefined
}

/**
 * Who may hold the lease. The times in it are never compared with the own clock, since clocks differ: a lease has
 * expired when it was seen unchanged for its duration (as k8s.io/client-go/tools/leaderelection does).
 */
export function decideLease({ identity, now, lease, observed }: LeaseQuestion): LeaseDecision {
  if (lease === undefined) return { do: 'create', observed: undefined }
  const seen =
    observed?.resourceVersion === lease.resourceVersion
      ? observed
      : { resourceVersion: lease.resourceVersion, at: now }
  if (lease.holder === identity) return { do: 'renew', observed: seen }
  const isFree = lease.holder === '' || now - seen.at >= lease.durationMs
  return { do: isFree ? 'take' : 'wait', observed: seen }
}
