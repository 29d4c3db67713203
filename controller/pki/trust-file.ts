import { join } from 'node:path'
import { writeAtomic } from '../store/atomic-file.ts'

/** Writes what agents and operators trust (PEM), to be handed to them; answers where. */
export async function writeTrustFile(folder: string, trusted: string): Promise<string> {
  const file = join(folder, 'ca.pem')
  await writeAtomic(file, trusted, 0o644)
  return file
}
