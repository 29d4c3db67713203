import { parseCommandLine } from '../../agent/cli.ts'
import { readConfigFiles } from '../../agent/host/config-files.ts'
import { handedText, handedVariable } from '../../agent/host/handed-config.ts'
import { configPath } from '../../agent/host/paths.ts'

/**
 * What the first life hands to the second, as variables: the configuration, read and parsed, so that the one that stays
 * need not hold the parser. Whatever is wrong, the second life finds by itself, and says it.
 */
export async function handOver(args: readonly string[]): Promise<Readonly<Record<string, string>>> {
  try {
    const text = handedText(await readConfigFiles(configPath(parseCommandLine(args))))
    return text === undefined ? {} : { [handedVariable]: text }
  } catch {
    return {}
  }
}
