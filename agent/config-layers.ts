import { errorText, MooringError } from '../shared/errors.ts'

/** One file of the configuration, parsed: plain values, as JSON has them. */
export interface ConfigLayer {
  readonly path: string
  readonly value: unknown
}

export type ConfigRecord = Readonly<Record<string, unknown>>

/**
 * Lays each layer over those before it, key by key. A layer that says whom to trust, by file or by pin, takes back what
 * was said of that before: an image's own word must not stay beside that of its user data.
 */
export function mergeLayers(layers: readonly ConfigLayer[]): unknown {
  let result: unknown = {}
  for (const { value: over } of layers) {
    result = isRecord(result) && isRecord(over) ? merge(withoutOlderTrust(result, over), over) : over
    // The schema says what is wrong with it; nothing can be laid over it.
    if (!isRecord(result)) return result
  }
  return result
}

/** The path of the last layer that has this place, for the words of an error. */
export function layerWith(layers: readonly ConfigLayer[], place: readonly string[]): string | undefined {
  return layers.findLast((layer) => {
    let { value } = layer
    for (const key of place) {
      if (!isRecord(value) || !Object.hasOwn(value, key)) return false
      value = value[key]
    }
    return true
  })?.path
}

/** Whether `value` is a mapping of YAML or JSON. */
export function isRecord(value: unknown): value is ConfigRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function merge(under: ConfigRecord, over: ConfigRecord): ConfigRecord {
  const result = { ...under }
  for (const [key, value] of Object.entries(over)) {
    const below = result[key]
    result[key] = isRecord(below) && isRecord(value) ? merge(below, value) : value
  }
  return result
}

function withoutOlderTrust(under: ConfigRecord, { controller }: ConfigRecord): ConfigRecord {
  if (!isRecord(controller) || !isRecord(under.controller)) return under
  if (!('caFile' in controller || 'pin' in controller)) return under
  const { caFile, pin, ...kept } = under.controller
  return { ...under, controller: kept }
}

/** Parses a file of the configuration, YAML. Throws `CONFIG_INVALID` with its name and the line. */
export async function parseLayer(path: string, text: string): Promise<ConfigLayer> {
  // Loaded where there is something to parse: an agent that was handed its configuration spares 2 MB.
  const { parse } = await import('yaml')
  try {
    return { path, value: parse(text, { maxAliasCount: 0 }) ?? {} }
  } catch (cause) {
    const detail = `${path} is not YAML: ${errorText(cause).split('\n')[0]}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}
