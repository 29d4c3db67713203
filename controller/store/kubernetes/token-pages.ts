/**
 * Where the uses of a join token are written down. The first 64 keys are in the token's own Secret, all others in
 * pages, Secrets of their own with as many: a use rewrites a few kilobytes, however many there were. Each page is
 * changed by one replica at a time (its resourceVersion says so) and has room for its part of the uses, so that all
 * replicas together never grant one too many.
 */
import { MooringError } from '../../../shared/errors.ts'

/** How many keys a page holds; page 0 is the token's own Secret. */
export const pageSize = 64

const mostLanes = 8

export type Pages = ReadonlyMap<number, readonly string[]>

/** How many keys may be on the page of a token with so many uses. */
export function pageRoom(uses: number, page: number): number {
  return Math.min(pageSize, uses - page * pageSize)
}

/**
 * The pages that are to be written for these keys to be the ones that used the token. Throws `CONFLICT` when there is
 * no room: what was known of the pages is old.
 */
export function pagesToWrite(before: Pages, uses: number, usedBy: readonly string[]): Pages {
  const written = new Map<number, readonly string[]>()
  const known = allKeys(before)
  let added = usedBy.slice(known.length)
  // Nearly always there is one more than before; anything else is compared key by key.
  if (!startsWith(usedBy, known)) {
    const [kept, there] = [new Set(usedBy), new Set(known)]
    added = usedBy.filter((key) => !there.has(key))
    for (const [page, keys] of before) {
      const left = keys.filter((key) => kept.has(key))
      if (left.length < keys.length) written.set(page, left)
    }
  }
  for (const key of added) {
    const page = pageFor(key, uses, (at) => (written.get(at) ?? before.get(at) ?? []).length)
    written.set(page, [...(written.get(page) ?? before.get(page) ?? []), key])
  }
  return written
}

/** Every key on them, in the order of the pages. */
export function allKeys(pages: Pages): readonly string[] {
  return [...pages.keys()].sort((a, b) => a - b).flatMap((page) => pages.get(page) ?? [])
}

/**
 * A key's page follows from it: whoever repeats a join looks first at the pages where its use would be, and a page
 * that is full stays full. Keys are spread over lanes, so that replicas seldom write the same page; the pages of a
 * lane are filled one after the other, since each new one costs more.
 */
function pageFor(key: string, uses: number, used: (page: number) => number): number {
  const pages = Math.max(1, Math.ceil(uses / pageSize))
  const lanes = Math.min(mostLanes, pages)
  const first = Number.parseInt(key.slice(0, 8), 16) % lanes || 0
  for (let step = 0; step < lanes; step += 1) {
    for (let page = (first + step) % lanes; page < pages; page += lanes) {
      if (used(page) < pageRoom(uses, page)) return page
    }
  }
  throw new MooringError('CONFLICT', { detail: 'every use of the token is taken' })
}

function startsWith(all: readonly string[], part: readonly string[]): boolean {
  return part.length <= all.length && part.every((key, at) => key === all[at])
}
