import { type TSchema, Type } from 'typebox'

/** The last moment that RFC 3339 can write. */
const end = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** A schema's mark for a time: Unix milliseconds in records, RFC 3339 in Kubernetes. */
export const momentKey = 'x-mooring-moment'

/** Unix milliseconds, written as RFC 3339 in Kubernetes. */
export const Moment = Type.Integer({ minimum: 0, maximum: end, [momentKey]: true })

interface Node {
  readonly [momentKey]?: boolean
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
}

/** A value of the schema as Kubernetes has it. */
export function toKubernetes(schema: TSchema, value: unknown): unknown {
  return convert(schema, value, (moment) =>
    typeof moment === 'number' ? new Date(moment).toISOString() : moment,
  )
}

/** The reverse; a text that is no time stays as it is, for the check that follows to refuse. */
export function fromKubernetes(schema: TSchema, value: unknown): unknown {
  return convert(schema, value, (text) => {
    const moment = typeof text === 'string' ? Date.parse(text) : Number.NaN
    return Number.isNaN(moment) ? text : moment
  })
}

function convert(schema: TSchema, value: unknown, moment: (value: unknown) => unknown): unknown {
  const node = schema as Node
  if (node[momentKey]) return moment(value)
  if (Array.isArray(value)) {
    const { items } = node
    return items === undefined ? value : value.map((item) => convert(items, item, moment))
  }
  const { properties } = node
  if (properties === undefined || typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => {
      const own = Object.hasOwn(properties, key) ? properties[key] : undefined
      return [key, own === undefined ? part : convert(own, part, moment)]
    }),
  )
}
