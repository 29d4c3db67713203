import { type Static, Type } from 'typebox'

/** A subscription to notifications, as Tacker shows it; its authentication is never shown. */
export const Subscription = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 255, pattern: '^[A-Za-z0-9_.:-]+$' }),
  callbackUri: Type.String({ maxLength: 2048 }),
})
export type Subscription = Static<typeof Subscription>

/** What is to be done so that there is exactly one subscription of ours, with what it must have. */
export interface SubscriptionPlan {
  /** The one that stays. */
  readonly keep?: string
  readonly create: boolean
  readonly remove: readonly string[]
}

/**
 * `callback` is the whole address, whose end changes with everything that Tacker does not show (the secret it shows
 * itself by): one that differs is of an earlier life. `ours` is what all of them begin with. Version 2 makes a second
 * subscription of the same kind without a word, so those that are too many go as well.
 */
export function planSubscription(
  known: readonly Subscription[],
  { callback, ours }: { readonly callback: string; readonly ours: string },
): SubscriptionPlan {
  const mine = known.filter(({ callbackUri }) => callbackUri.startsWith(ours))
  const [keep] = mine.filter(({ callbackUri }) => callbackUri === callback).toSorted(byId)
  return {
    ...(keep !== undefined && { keep: keep.id }),
    create: keep === undefined,
    remove: mine.filter((one) => one !== keep).map(({ id }) => id),
  }
}

// Two controllers that look at once keep the same one.
function byId(a: Subscription, b: Subscription): number {
  return a.id < b.id ? -1 : 1
}
