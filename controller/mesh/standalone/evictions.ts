import { rootNamespace } from '../objects.ts'
import type { WrittenObject } from './object-file.ts'

/** The addresses that eviction policies deny, without their prefix lengths. */
export function evictedAddresses(written: readonly WrittenObject[]): ReadonlySet<string> {
  const addresses = new Set<string>()
  for (const { object } of written) {
    const { kind, metadata, spec } = object
    if (kind !== 'AuthorizationPolicy' || metadata.namespace !== rootNamespace || spec.action !== 'DENY') {
      continue
    }
    const rules = spec.rules as { from?: { source?: { ipBlocks?: string[] } }[] }[] | undefined
    const blocks = rules?.flatMap((rule) => rule.from?.flatMap(({ source }) => source?.ipBlocks ?? []) ?? [])
    for (const block of blocks ?? []) addresses.add(block.replace(/\/(32|128)$/, ''))
  }
  return addresses
}
