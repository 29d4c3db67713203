import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/secret.ts'
import { agentParts, layout } from './layout.ts'

/** A file for a VM. */
export interface InjectedFile {
  readonly path: string
  readonly mode: '600' | '644' | '755'
  /** SHA-256, hex. */
  readonly sha256: string
  readonly size: number
  /** Its bytes from `offset` on. */
  read(offset: number): Readable
}

export interface AgentFilesDeps {
  /** Holds `mooring-agent-linux-<arch>` and what comes with it; empty where there is none. */
  readonly folder: string
}

/** What of the agent is the same on all VMs. */
export interface AgentFiles {
  /** Throws `AGENT_MISSING`. */
  of(arch: 'amd64' | 'arm64'): Promise<readonly InjectedFile[]>
}

/** Digests are computed when a file is first needed, and again when it was changed. */
export function createAgentFiles({ folder }: AgentFilesDeps): AgentFiles {
  const digests = new Map<string, { readonly mark: string; readonly sha256: string }>()

  async function fileAt(from: string, path: string, mode: InjectedFile['mode']): Promise<InjectedFile> {
    const file = join(folder, from)
    try {
      const { size, mtimeMs, ino } = await stat(file)
      const mark = `${size} ${mtimeMs} ${ino}`
      let known = digests.get(file)
      if (known?.mark !== mark) {
        const hash = createHash('sha256')
        await pipeline(createReadStream(file), hash)
        known = { mark, sha256: hash.digest('hex') }
        digests.set(file, known)
      }
      const { sha256 } = known
      return {
        ...{ path, mode, sha256, size },
        read: (offset) =>
          // `end`: a file that grows meanwhile must not be more than was announced.
          offset < size ? createReadStream(file, { start: offset, end: size - 1 }) : Readable.from([]),
      }
    } catch (error) {
      throw new MooringError('AGENT_MISSING', { detail: errorText(error), cause: error })
    }
  }

  return {
    async of(arch) {
      if (folder === '') throw new MooringError('AGENT_MISSING', { detail: 'injection.files is empty' })
      const executable = await fileAt(`mooring-agent-linux-${arch}`, layout.executable, '755')
      const others: InjectedFile[] = []
      for (const { from, path } of agentParts) others.push(await fileAt(from, path, '644'))
      return [executable, ...others]
    },
  }
}

/** A file whose content is in memory. */
export function fileOf(path: string, mode: InjectedFile['mode'], content: string): InjectedFile {
  const bytes = Buffer.from(content)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { path, mode, sha256, size: bytes.length, read: (offset) => Readable.from([bytes.subarray(offset)]) }
}

/** Whose the VM is to be. */
export interface Allegiance {
  readonly url: string
  readonly pin: string
  readonly pool: string
}

/** The agent's configuration: a layer over /etc/mooring/agent.yaml. JSON is YAML. */
export function configFile({ url, pin, pool }: Allegiance): InjectedFile {
  const config = { controller: { url, pin }, pool, join: { method: 'token', tokenFile: layout.token } }
  return fileOf(layout.config, '644', `${JSON.stringify(config, null, 2)}\n`)
}

/** The token with which it joins, once. */
export function tokenFile(token: Secret): InjectedFile {
  return fileOf(layout.token, '600', `${token.reveal()}\n`)
}
