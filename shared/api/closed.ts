import type { TSchema } from 'typebox'

/**
 * The same schema, refusing keys it does not know at every depth. What programs send is read leniently, since
 * releases differ; what people write is not, since a key that is not known is a typing error.
 */
export function closed<T extends TSchema>(schema: T): T {
  return close(schema) as T
}

function close(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(close)
  if (typeof part !== 'object' || part === null) return part
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(part)) copy[key] = close(value)
  if (copy.type === 'object' && 'properties' in copy) copy.additionalProperties = false
  return copy
}
