import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const folder = resolve(import.meta.dirname, '../../../../golden/tacker')

interface Capture {
  readonly name: string
  readonly method: string
  readonly body: unknown
}

/** What a real Tacker 16 sent to its subscribers, in its order. */
export const notifications: readonly Capture[] = readdirSync(join(folder, 'notifications'))
  .toSorted()
  .map((name) => ({ name, ...read<{ method: string; body: unknown }>(`notifications/${name}`) }))
  .map(({ name, method, body }) => ({
    name,
    method,
    body: typeof body === 'string' && body !== '' ? JSON.parse(body) : body,
  }))

/** What it answered to a GET. */
export function answer(file: string): unknown {
  return read<{ body: unknown }>(`${file}.json`).body
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T
}
