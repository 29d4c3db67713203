import { Value } from 'typebox/value'
import { type Document, LineCounter, parseAllDocuments } from 'yaml'
import { closed } from '../shared/api/closed.ts'
import { type Pool, Pool as PoolSchema } from '../shared/api/operator.ts'
import { limits } from '../shared/api/wire.ts'
import { errorText, MooringError } from '../shared/errors.ts'

/**
 * The pools of a YAML (or JSON) text of one or several documents, each `name` and `spec`. Throws
 * `CONFIG_INVALID` that names source, line and field.
 */
export function readPools(text: string, source: string): readonly Pool[] {
  if (text.length > limits.operator) throw invalid(source, `it is longer than ${limits.operator} characters`)
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true })
  const documents = Array.isArray(parsed) ? parsed : []
  const pools = documents.flatMap((document) => readDocument(document, lines, source))
  if (pools.length === 0) throw invalid(source, 'there is no pool in it')
  const twice = pools.find((pool, index) => pools.findIndex((other) => other.name === pool.name) !== index)
  if (twice !== undefined) throw invalid(source, `pool "${twice.name}" is in it twice`)
  return pools
}

function readDocument(document: Document.Parsed, lines: LineCounter, source: string): readonly Pool[] {
  const [broken] = document.errors
  if (broken !== undefined) {
    throw invalid(
      `${source}:${lines.linePos(broken.pos[0]).line}`,
      broken.message.split('\n')[0] ?? 'it is no YAML',
    )
  }
  // Empty documents come of a separator at either end of a file.
  const value = unfold(document, source)
  if (value === null || value === undefined) return []
  const fault = firstFault(value)
  if (fault === undefined) return [value as Pool]
  throw invalid(
    `${source}:${lineOf(document, fault.path, lines)}`,
    `${fault.path.join('.') || 'the document'}: ${fault.text}`,
  )
}

function unfold(document: Document.Parsed, source: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 20 })
  } catch (cause) {
    throw invalid(source, errorText(cause))
  }
}

const ClosedPool = closed(PoolSchema)

interface Fault {
  readonly path: readonly string[]
  readonly text: string
}

/** The fault to show: a misspelt key says more than what is missing because of it. */
function firstFault(value: unknown): Fault | undefined {
  const errors = Value.Errors(ClosedPool, value).filter((error) => error.keyword !== 'boolean')
  const error = errors.find((one) => one.keyword === 'additionalProperties') ?? errors[0]
  if (error === undefined) return undefined
  const path = error.instancePath.split('/').slice(1).map(unescapePointer)
  const { params } = error as { params: Record<string, unknown> }
  const extra = params.additionalProperties
  if (Array.isArray(extra)) return { path: [...path, String(extra[0])], text: 'there is no such field' }
  const missing = params.requiredProperties
  if (Array.isArray(missing)) return { path: [...path, String(missing[0])], text: 'is missing' }
  const allowed = params.allowedValues
  if (Array.isArray(allowed)) return { path, text: `must be one of ${allowed.join(', ')}` }
  return { path, text: error.message }
}

function lineOf(document: Document.Parsed, path: readonly string[], lines: LineCounter): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const at = path.slice(0, length).map((part) => (/^\d+$/.test(part) ? Number(part) : part))
    const node: unknown = length === 0 ? document.contents : document.getIn(at, true)
    const range = (node as { range?: readonly number[] } | undefined)?.range
    if (range?.[0] !== undefined) return lines.linePos(range[0]).line
  }
  return 1
}

function unescapePointer(part: string): string {
  return part.replace(/~1/g, '/').replace(/~0/g, '~')
}

function invalid(source: string, why: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `${source}: ${why}` })
}
