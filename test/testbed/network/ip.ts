import { existsSync } from 'node:fs'
import { mustRun } from '../command.ts'

/** Runs `ip` commands in one go, in the root namespace or a named one; the first failing one ends it. */
export async function ipBatch(
  lines: readonly string[],
  options: { readonly namespace?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const where = options.namespace === undefined ? [] : ['-n', options.namespace]
  await mustRun('ip', [...where, '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
}

/** Writes kernel settings of a network namespace. */
export async function setKernel(
  namespace: string,
  settings: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<void> {
  // /proc/sys/net shows the settings of whoever opens it, so the write must happen inside.
  const script = Object.entries(settings)
    .map(([key, value]) => `echo ${value} > /proc/sys/net/${key.replaceAll('.', '/')}`)
    .join(' && ')
  await mustRun(
    'nsenter',
    [`--net=/run/netns/${namespace}`, '--', 'sh', '-c', script],
    signal ? { signal } : {},
  )
}

/** Whether this kernel knows IPv6. */
export const hasIpv6 = (): boolean => existsSync('/proc/sys/net/ipv6')
