/** A replica's own Lease, as it is in the API server. */
export interface MemberRecord {
  readonly identity: string
  readonly durationMs: number
  /** Changes at every renewal. */
  readonly resourceVersion: string
}

/** What is known of another replica, by this one's own clock. */
export interface Member {
  readonly resourceVersion: string
  readonly durationMs: number
  /** Time of the last look before the renewal that was seen last: it was alive at that time, or later. */
  readonly aliveAt: number
  /** Since when its Lease has been seen as it is; moves on by what was not looked at. */
  readonly unchangedSince: number
  readonly isGone: boolean
}

export interface MembersQuestion {
  readonly before: ReadonlyMap<string, Member>
  readonly found: readonly MemberRecord[]
  /** Replicas that something names and that were not known, with the time before this look at which it was asked. */
  readonly asked: ReadonlyMap<string, number>
  readonly now: number
  /** Time of the look before; undefined at the first. */
  readonly lookedAt: number | undefined
  /** Time between two looks beyond which nothing is known of what happened in between. */
  readonly longestGapMs: number
}

// For longer nobody asks about one that ended: all that it held is somebody else's by then.
const rememberMs = 3_600_000

/**
 * Which replicas run. As with the lead, times in a Lease are never compared with the own clock. Time in which this
 * replica could not look (the API server was away, the process stood still) is nobody's silence: after an outage all
 * Leases look old, and none of their holders is gone.
 */
export function judgeMembers(question: MembersQuestion): ReadonlyMap<string, Member> {
  const { before, found, asked, now, lookedAt = now, longestGapMs } = question
  const unseenMs = now - lookedAt > longestGapMs ? now - lookedAt : 0
  const after = new Map<string, Member>()
  for (const { identity, resourceVersion, durationMs } of found) {
    const old = before.get(identity)
    if (old?.resourceVersion !== resourceVersion) {
      const fresh = { resourceVersion, durationMs, aliveAt: lookedAt, unchangedSince: now, isGone: false }
      after.set(identity, fresh)
      continue
    }
    const unchangedSince = old.unchangedSince + unseenMs
    after.set(identity, {
      ...old,
      unchangedSince,
      aliveAt: old.aliveAt + (old.isGone ? 0 : unseenMs),
      isGone: old.isGone || now - unchangedSince >= durationMs,
    })
  }
  for (const [identity, old] of before) {
    if (after.has(identity)) continue
    // One that took its Lease away has ended; that is known as well as by an expiry.
    const aliveAt = old.isGone ? old.aliveAt : lookedAt
    if (now - aliveAt < rememberMs) after.set(identity, { ...old, aliveAt, isGone: true })
  }
  // Every replica has its Lease before anything names it: this one's was gone before the question.
  for (const [identity, aliveAt] of asked) {
    if (after.has(identity)) continue
    after.set(identity, {
      resourceVersion: '',
      durationMs: 0,
      aliveAt,
      unchangedSince: aliveAt,
      isGone: true,
    })
  }
  return after
}
