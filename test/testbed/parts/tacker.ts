import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'
import { type DebianFilesRequest, provideDebianFiles } from './debian-files.ts'
import type { PartCache } from './part-cache.ts'
import { findPython, lastLines } from './wheel.ts'

export const tackerVersion = '16.0.0'

const constraintsFile = fileURLToPath(new URL('../tacker/constraints.txt', import.meta.url))
const installLimitMs = 15 * 60_000

/** RabbitMQ and its Erlang, unpacked; Erlang's own start script knows one place alone, so it is started without it. */
const rabbitmq: DebianFilesRequest = {
  title: 'rabbitmq',
  names: [
    'rabbitmq-server',
    ...['asn1', 'base', 'crypto', 'eldap', 'ftp', 'inets', 'mnesia', 'os-mon', 'parsetools'].map(erlang),
    ...['public-key', 'runtime-tools', 'snmp', 'ssl', 'syntax-tools', 'tftp', 'tools', 'xmerl'].map(erlang),
  ],
  files: ['usr/lib/rabbitmq/bin/rabbitmq-server', 'usr/lib/erlang/bin/erl'],
}

export interface TackerParts {
  /** Python with pip's packages of Tacker in `PYTHONPATH`. */
  readonly python: string
  /** Folder with Tacker and everything that it needs. */
  readonly tacker: string
  /** Folder of RabbitMQ's Debian packages, unpacked. */
  readonly rabbitmq: string
}

/** A real Tacker with its message broker; nothing of it is installed on this machine. */
export async function ensureTackerParts(
  cache: PartCache,
  arch: string,
  signal?: AbortSignal,
): Promise<TackerParts> {
  const constraints = await readFile(constraintsFile)
  const digest = createHash('sha256').update(constraints).digest('hex').slice(0, 8)
  const tacker = await cache.provide({
    key: `tacker-${tackerVersion}-${arch}-${digest}`,
    label: `Tacker ${tackerVersion} (from Python's registry, half a minute)`,
    files: ['bin/tacker-server', 'bin/tacker-conductor', 'etc/tacker/api-paste.ini'],
    executables: [],
    async make(dir, step) {
      const python = await findPython({ step, signal })
      step.at('downloading')
      const flags = ['--disable-pip-version-check', '--no-compile', '--only-binary=:all:', '--target', dir]
      const wanted = ['--constraint', constraintsFile, `tacker==${tackerVersion}`]
      const result = await runCommand(python, ['-m', 'pip', 'install', '--quiet', ...flags, ...wanted], {
        timeoutMs: installLimitMs,
        ...(signal !== undefined && { signal }),
      })
      if (result.code !== 0)
        throw new TestbedError('DOWNLOAD_FAILED', `tacker ${tackerVersion}: ${lastLines(result.stderr)}`)
    },
  })
  return { python: 'python3', tacker, rabbitmq: await provideDebianFiles(cache, signal, arch, rabbitmq) }
}

/** The folder of Erlang in RabbitMQ's. */
export const erlangFolder = (parts: Pick<TackerParts, 'rabbitmq'>) => join(parts.rabbitmq, 'usr/lib/erlang')

function erlang(name: string): string {
  return `erlang-${name}`
}
