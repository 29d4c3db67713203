import { readFile } from 'node:fs/promises'
import { writeAtomic } from '../../store/atomic-file.ts'
import { type HostKey, keysFor, knownLine, knownName } from './host-keys.ts'

export interface PinnedHostsDeps {
  /** As OpenSSH's known_hosts, so that people can read it, and correct it. */
  readonly file: string
}

/** The keys of hosts that were taken at first sight. */
export interface PinnedHosts {
  keysOf(host: string, port: number): Promise<readonly HostKey[]>
  /** Keeps a key; on disk when it resolves. */
  pin(host: string, port: number, key: HostKey): Promise<void>
}

export function createPinnedHosts({ file }: PinnedHostsDeps): PinnedHosts {
  let last: Promise<unknown> = Promise.resolve()

  async function text(): Promise<string> {
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
  }

  async function add(line: string): Promise<void> {
    const before = await text()
    if (before.split('\n').includes(line)) return
    await writeAtomic(file, `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${line}\n`, 0o600)
  }

  return {
    async keysOf(host, port) {
      return keysFor(await text(), host, port).known
    },
    pin(host, port, key) {
      const added = last.then(() => add(knownLine(knownName(host.toLowerCase(), port), key)))
      // One after the other; the next one goes on whatever became of this one.
      last = added.catch(() => {})
      return added
    },
  }
}
