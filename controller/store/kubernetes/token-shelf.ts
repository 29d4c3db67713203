import { compareVersions } from '../../kubernetes/resource.ts'
import type { TokenRecord } from '../records.ts'
import type { TokenPage } from './secret-codec.ts'
import { createShelf, type Entry, type Shelf } from './shelf.ts'
import { allKeys, type Pages } from './token-pages.ts'

/** Pages of uses as last seen, and tokens made whole with them. */
export interface TokenShelf {
  readonly pages: Shelf<TokenPage>
  page(token: string, page: number): Entry<TokenPage> | undefined
  /** Keys on each page; 0 is the token's own Secret. */
  keysOf(own: Entry<TokenRecord>, token: string): Pages
  /** The token with all of its uses; its version is another one after a write to any part. */
  whole(own: Entry<TokenRecord>, token: string): Entry<TokenRecord>
  /** Pages of tokens that are not there. */
  orphans(isThere: (token: string) => boolean): readonly Entry<TokenPage>[]
}

export function createTokenShelf(changed: (token: string) => void): TokenShelf {
  const byToken = new Map<string, Set<number>>()
  const made = new Map<string, { readonly own: Entry<TokenRecord>; readonly whole: Entry<TokenRecord> }>()
  const pages = createShelf<TokenPage>((key) => {
    const [token, page] = split(key)
    made.delete(token)
    const known = byToken.get(token) ?? new Set()
    if (pages.get(key) === undefined) known.delete(page)
    else known.add(page)
    if (known.size === 0) byToken.delete(token)
    else byToken.set(token, known)
    changed(token)
  })

  const page = (token: string, at: number) => pages.get(pageKey(token, at))

  function keysOf({ value }: Entry<TokenRecord>, token: string): Pages {
    const keys = new Map([[0, value.usedBy]])
    for (const at of byToken.get(token) ?? []) keys.set(at, page(token, at)?.value.usedBy ?? [])
    return keys
  }

  return {
    pages,
    page,
    keysOf,
    whole(own, token) {
      const numbers = byToken.get(token)
      if (numbers === undefined) return own
      const before = made.get(token)
      if (before?.own === own) return before.whole
      const version = [...numbers].reduce((newest, at) => {
        const one = page(token, at)?.version ?? ''
        return compareVersions(one, newest) > 0 ? one : newest
      }, own.version)
      const usedBy = allKeys(keysOf(own, token))
      const whole = { ...own, version, value: Object.freeze({ ...own.value, usedBy }) }
      made.set(token, { own, whole })
      return whole
    },
    orphans: (isThere) => [...pages.every()].filter(({ value }) => !isThere(value.token)),
  }
}

/** A page's key in its shelf. */
export function pageKey(token: string, page: number): string {
  return `${token}/${page}`
}

function split(key: string): [string, number] {
  const slash = key.lastIndexOf('/')
  return [key.slice(0, slash), Number(key.slice(slash + 1))]
}
