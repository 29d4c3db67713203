import { MooringError } from '../../shared/errors.ts'
import type { KubernetesObject } from './resource.ts'

/** One line of a watch (Kubernetes API concepts, "Efficient detection of changes"). */
export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; readonly object: T }
  | { readonly type: 'ERROR'; readonly code: number; readonly message: string }

/** etcd takes no object over 1.5 MB; JSON and its metadata are not ten times as much. */
const mostLine = 16 * 1024 * 1024

/** The events of a watch's body; `heard` is called at every sign of life. A cut in the middle of a line is an error. */
export async function* readEvents<T extends KubernetesObject>(
  body: AsyncIterable<Uint8Array>,
  heard: () => void,
): AsyncGenerator<WatchEvent<T>> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of body) {
    heard()
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > mostLine)
      throw new MooringError('REQUEST_TOO_LARGE', { detail: 'a line of a watch has no end' })
    for (const line of lines) if (line !== '') yield readEvent<T>(line)
  }
}

function readEvent<T extends KubernetesObject>(line: string): WatchEvent<T> {
  const { type, object } = JSON.parse(line) as {
    type: string
    object: T & { code?: number; message?: string }
  }
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return { type, object }
    default:
      return { type: 'ERROR', code: object.code ?? 0, message: object.message ?? type }
  }
}
