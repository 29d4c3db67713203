import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { ownLabels } from '../identity-labels.ts'
import type { ObjectRef } from '../mesh.ts'
import { type ClusterObject, refText } from './cluster-object.ts'

/** On a WorkloadEntry that is not Mooring's: the pool whose VM may take its place. */
export const adoptAnnotation = 'mesh.mooring/adopt'

/** A WorkloadEntry that somebody else made, by hand or by Istio's auto-registration. */
export interface ForeignEntry {
  readonly ref: ObjectRef
  readonly uid: string
  /** The pool that may adopt it. */
  readonly consent: string | undefined
}

/** Who is at which address: two entries of one address are two endpoints, and closing one leaves the other open. */
export interface EntryPlaces {
  put(ref: ObjectRef, item: ClusterObject, isOwn: boolean): void
  forget(ref: ObjectRef): void
  /** Entries of others in the way of a VM of `pool`, at the address of its entry; what it may adopt is not. */
  inTheWay(entry: PlacedEntry, pool: string): readonly ForeignEntry[]
  /** Entries of others whose VM has one of ours by now, and the consent of whoever made them. */
  adoptable(): readonly ForeignEntry[]
}

/** What of an entry says where it is. */
export interface PlacedEntry {
  readonly namespace: string
  readonly address: string
  /** Empty: any. */
  readonly network: string
}

interface Placed extends ForeignEntry {
  readonly at: PlacedEntry
  /** Of an entry of ours. */
  readonly pool: string | undefined
  readonly isOwn: boolean
}

const Spec = Type.Object({
  address: Type.String({ minLength: 1, maxLength: 253 }),
  network: Type.Optional(Type.String({ maxLength: 253 })),
})

/** Where an entry of this spec is; undefined for one without an address. */
export function placeOfEntry(namespace: string, spec: unknown): PlacedEntry | undefined {
  if (!Value.Check(Spec, spec)) return undefined
  return { namespace, address: spec.address, network: spec.network ?? '' }
}

export function createEntryPlaces(): EntryPlaces {
  const byRef = new Map<string, Placed>()
  const byAddress = new Map<string, Map<string, Placed>>()
  /** Those with a consent: few, and looked at again and again. */
  const willing = new Set<string>()

  function forget(ref: ObjectRef): void {
    const key = refText(ref)
    const before = byRef.get(key)
    if (before === undefined) return
    byRef.delete(key)
    willing.delete(key)
    const neighbours = byAddress.get(before.at.address)
    neighbours?.delete(key)
    if (neighbours?.size === 0) byAddress.delete(before.at.address)
  }

  const at = ({ address, network }: PlacedEntry) =>
    [...(byAddress.get(address)?.values() ?? [])].filter(
      (other) => other.at.network === network || other.at.network === '' || network === '',
    )

  return {
    put(ref, { metadata, spec }, isOwn) {
      forget(ref)
      const place = placeOfEntry(ref.namespace, spec)
      if (place === undefined) return
      const key = refText(ref)
      const placed: Placed = {
        ref,
        uid: metadata.uid ?? '',
        at: place,
        isOwn,
        pool: isOwn ? metadata.labels?.[ownLabels.pool] : undefined,
        consent: isOwn ? undefined : metadata.annotations?.[adoptAnnotation],
      }
      byRef.set(key, placed)
      const neighbours = byAddress.get(place.address) ?? new Map<string, Placed>()
      byAddress.set(place.address, neighbours.set(key, placed))
      if (placed.consent !== undefined) willing.add(key)
    },
    forget,
    inTheWay: (entry, pool) =>
      at(entry).filter(
        ({ isOwn, consent, ref }) => !isOwn && (consent !== pool || ref.namespace !== entry.namespace),
      ),
    adoptable: () =>
      [...willing].flatMap((key) => {
        const entry = byRef.get(key)
        if (entry === undefined) return []
        const isTaken = at(entry.at).some(
          ({ isOwn, pool, ref }) => isOwn && pool === entry.consent && ref.namespace === entry.ref.namespace,
        )
        return isTaken ? [entry] : []
      }),
  }
}
