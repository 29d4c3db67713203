import fc from 'fast-check'

/** What of a JSON Schema the wire contract uses. */
interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

/** Values that fit a schema, found from the schema itself, so that a new field is tested without a new test. */
export function valuesOf(schema: unknown): fc.Arbitrary<unknown> {
  const s = schema as Schema
  if (s.const !== undefined) return fc.constant(s.const)
  if (s.enum !== undefined) return fc.constantFrom(...s.enum)
  if (s.anyOf !== undefined) return fc.oneof(...s.anyOf.map(valuesOf))
  switch (s.type) {
    case 'string':
      return stringsOf(s)
    case 'integer':
      return fc.integer({ min: s.minimum ?? -1000, max: Math.min(s.maximum ?? 2 ** 31 - 1, 2 ** 31 - 1) })
    case 'number':
      return fc
        .double({ min: s.minimum ?? -1000, max: s.maximum ?? 1e6, noNaN: true })
        .map((n) => (n === 0 ? 0 : n))
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(valuesOf(s.items), {
        minLength: s.minItems ?? 0,
        maxLength: Math.min(s.maxItems ?? 3, 3),
      })
    case 'object':
      return objectsOf(s)
    default:
      return fc.jsonValue({ maxDepth: 1 })
  }
}

function stringsOf(s: Schema): fc.Arbitrary<string> {
  const fits = (text: string) =>
    text.length >= (s.minLength ?? 0) && text.length <= (s.maxLength ?? Number.POSITIVE_INFINITY)
  if (s.pattern !== undefined) {
    // An open repetition rarely comes out long enough by chance.
    const bounded = s.pattern.replace(/\+\$$/, `{${s.minLength ?? 1},${Math.min(s.maxLength ?? 60, 60)}}$`)
    return fc.stringMatching(new RegExp(bounded)).filter(fits)
  }
  return fc.string({
    minLength: s.minLength ?? 0,
    maxLength: Math.min(s.maxLength ?? 40, Math.max(40, s.minLength ?? 0)),
  })
}

function objectsOf(s: Schema): fc.Arbitrary<unknown> {
  const [pattern] = Object.entries(s.patternProperties ?? {})
  const rest = typeof s.additionalProperties === 'object' ? s.additionalProperties : undefined
  if (s.properties === undefined && (pattern !== undefined || rest !== undefined)) {
    const keys =
      pattern === undefined ? fc.string({ maxLength: 20 }) : fc.stringMatching(new RegExp(pattern[0]))
    return fc.dictionary(
      keys.filter((key) => key !== '__proto__'),
      valuesOf(pattern?.[1] ?? rest),
      { maxKeys: 3 },
    )
  }
  const fields = Object.fromEntries(
    Object.entries(s.properties ?? {}).map(([name, of]) => [name, valuesOf(of)]),
  )
  return fc.record(fields, { requiredKeys: [...(s.required ?? [])], noNullPrototype: true })
}
