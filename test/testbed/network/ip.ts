import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { mustRun } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'

const forwardingLimitMs = 10_000
const pollMs = 5

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

interface ShownLink {
  readonly ifname: string
  readonly linkinfo?: { readonly info_slave_data?: { readonly state?: string } }
}

/** Waits until these ports of bridges in a namespace let frames through. */
export async function forwarding(namespace: string, ports: readonly string[]): Promise<void> {
  const end = performance.now() + forwardingLimitMs
  for (;;) {
    const { stdout } = await mustRun('ip', ['-n', namespace, '-details', '-json', 'link', 'show'])
    const links = JSON.parse(stdout) as readonly ShownLink[]
    const ready = links.filter((link) => link.linkinfo?.info_slave_data?.state === 'forwarding')
    if (ports.every((port) => ready.some((link) => link.ifname === port))) return
    if (performance.now() > end)
      throw new TestbedError('COMMAND_TIMED_OUT', `${ports.join(', ')} do not forward`)
    await sleep(pollMs)
  }
}

/** Whether this kernel knows IPv6. */
export const hasIpv6 = (): boolean => existsSync('/proc/sys/net/ipv6')
