import { canonical } from '../objects.ts'

type Tree = Readonly<Record<string, unknown>>

/** The JSON merge patch (RFC 7386) that makes `wanted` of `actual`; undefined when they are the same already. */
export function mergePatch(actual: Tree, wanted: Tree): Tree | undefined {
  const patch: Record<string, unknown> = {}
  for (const key of Object.keys(actual)) if (!Object.hasOwn(wanted, key)) patch[key] = null
  for (const [key, value] of Object.entries(wanted)) {
    const had = actual[key]
    const change = isTree(had) && isTree(value) ? mergePatch(had, value) : replaced(had, value)
    if (change !== undefined) patch[key] = change
  }
  return Object.keys(patch).length === 0 ? undefined : patch
}

function replaced(had: unknown, value: unknown): unknown {
  return canonical(had ?? null) === canonical(value) ? undefined : value
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
