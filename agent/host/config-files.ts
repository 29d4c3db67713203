import { join } from 'node:path'
import { MooringError } from '../../shared/errors.ts'
import { type ConfigLayer, parseLayer } from '../config-layers.ts'
import { namesIn, readBounded } from './files.ts'

/** Largest configuration file, in bytes. */
const maxBytes = 64 * 1024
const mostLayers = 32

/**
 * The configuration file, if it is there, and the files `*.yaml` of the folder beside it that is called as it is, with
 * `.d`, by name: /etc/mooring/agent.d/50-cloud-init.yaml lies over /etc/mooring/agent.yaml. Throws `CONFIG_INVALID`.
 */
export async function readConfigFiles(path: string): Promise<readonly ConfigLayer[]> {
  const folder = `${path.replace(/\.ya?ml$/, '')}.d`
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.yaml') && !name.startsWith('.'))
  if (names.length > mostLayers) {
    throw new MooringError('CONFIG_INVALID', { detail: `${folder} holds more than ${mostLayers} files` })
  }
  const layers: ConfigLayer[] = []
  for (const file of [path, ...names.toSorted().map((name) => join(folder, name))]) {
    const text = await readBounded(file, maxBytes)
    if (text !== undefined) layers.push(await parseLayer(file, text))
  }
  return layers
}
