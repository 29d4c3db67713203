import { momentKey } from '../../controller/store/kubernetes/moment.ts'

/** A JSON schema, as TypeBox makes it or as Kubernetes takes it. */
export type JsonSchema = { readonly [key: string]: unknown }

/** What cannot be said in a structural schema; a programming error of who wrote the schema. */
export class NotStructural extends Error {}

const kept = [
  'description',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
] as const

/**
 * The schema as a CustomResourceDefinition takes it: every value has a type, and there is no logic around types
 * (Kubernetes: "Specifying a structural schema"). Unknown fields need no word: they are refused by
 * `fieldValidation: Strict`, and pruned otherwise.
 */
export function structural(source: object, at = ''): JsonSchema {
  const schema = source as JsonSchema
  if (schema[momentKey] === true) return { type: 'string', format: 'date-time' }
  if (Array.isArray(schema.anyOf)) return union(schema, schema.anyOf as readonly JsonSchema[], at)
  if (Array.isArray(schema.enum)) return { ...limits(schema), type: 'string', enum: schema.enum }
  if ('const' in schema) return { ...limits(schema), type: typeof schema.const, enum: [schema.const] }
  switch (schema.type) {
    case 'object':
      return objectOf(schema, at)
    case 'array':
      return { ...limits(schema), type: 'array', items: structural(schema.items as JsonSchema, `${at}[]`) }
    case 'integer':
      return { ...limits(schema), type: 'integer', format: 'int64' }
    case 'string':
      return { ...limits(schema), type: 'string', ...patternOf(schema, at) }
    case 'number':
    case 'boolean':
      return { ...limits(schema), type: schema.type }
    default:
      throw new NotStructural(`${at || 'the schema'} has no type: ${JSON.stringify(schema)}`)
  }
}

function objectOf(schema: JsonSchema, at: string): JsonSchema {
  const base = { ...limits(schema), type: 'object' }
  if (schema.patternProperties !== undefined) {
    const [value, ...more] = Object.values(schema.patternProperties as Record<string, JsonSchema>)
    if (value === undefined || more.length > 0) throw new NotStructural(`${at} has several patterns of keys`)
    return { ...base, additionalProperties: structural(value, `${at}{}`) }
  }
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>)
  const required = (schema.required ?? []) as readonly string[]
  return {
    ...base,
    properties: Object.fromEntries(
      properties.map(([key, value]) => [key, structural(value, `${at}.${key}`)]),
    ),
    ...(required.length > 0 && { required }),
  }
}

function union(schema: JsonSchema, parts: readonly JsonSchema[], at: string): JsonSchema {
  if (parts.every((part) => typeof part.const === 'string')) {
    return { ...limits(schema), type: 'string', enum: parts.map((part) => part.const) }
  }
  const [integer, text] = [parts.find((p) => p.type === 'integer'), parts.find((p) => p.type === 'string')]
  if (parts.length === 2 && integer !== undefined && text !== undefined) {
    // Limits apply to the type that they fit alone, so both kinds stand beside each other.
    const both = { ...limits(schema), ...limits(integer), ...limits(text), ...patternOf(text, at) }
    return { ...both, 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] }
  }
  throw new NotStructural(`${at} is one of several types`)
}

function limits(schema: JsonSchema): JsonSchema {
  return Object.fromEntries(kept.filter((key) => key in schema).map((key) => [key, schema[key]]))
}

/** Kubernetes matches with RE2 (github.com/google/re2/wiki/Syntax), which writes code points in another way. */
function patternOf({ pattern }: JsonSchema, at: string): JsonSchema {
  if (typeof pattern !== 'string') return {}
  if (/\(\?[=!<]|\\[1-9]/.test(pattern)) throw new NotStructural(`${at}: RE2 cannot match ${pattern}`)
  return { pattern: pattern.replace(/\\u([0-9a-fA-F]{4})/g, '\\x{$1}') }
}
