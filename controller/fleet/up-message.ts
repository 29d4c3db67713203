import { Value } from 'typebox/value'
import { Up } from '../../shared/api/stream.ts'
import { compatibleWire, limits } from '../../shared/api/wire.ts'

type Kind = Up['kind']
const kinds: ReadonlySet<string> = new Set<Kind>([
  'hello',
  'heartbeat',
  'status',
  'facts',
  'drain-request',
  'drained',
  'left',
])

/**
 * A message of an agent, checked. `unknown`: of a kind that only a newer agent knows, to be ignored.
 * `incompatible`: a hello of a wire version that is more than one apart.
 */
export function parseUp(text: string): Up | 'invalid' | 'unknown' | 'incompatible' {
  if (text.length > limits.streamMessage) return 'invalid'
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'invalid'
  }
  if (typeof value !== 'object' || value === null) return 'invalid'
  const { kind, wire } = value as { kind?: unknown; wire?: unknown }
  if (typeof kind !== 'string') return 'invalid'
  // A newer agent may know kinds that this controller does not.
  if (!kinds.has(kind)) return kind.length <= 64 ? 'unknown' : 'invalid'
  // Before the schema: an agent of another age may shape its hello differently.
  if (kind === 'hello' && Number.isInteger(wire) && !compatibleWire(wire as number)) return 'incompatible'
  return Value.Check(Up, value) ? value : 'invalid'
}
