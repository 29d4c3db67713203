/**
 * Datagram sockets for a program that cannot make them. Neither Node's interface nor Bun's knows datagrams of the Unix
 * kind, in which systemd and its journal are spoken to; libc does, but calls into it need the compilers that the agent
 * goes without. So the sockets are made before the second start, which takes them along as open files.
 */
import { setEnvironment } from '../../agent/host/datagram.ts'

interface Libc {
  readonly socket: (family: number, type: number, protocol: number) => number
  readonly connect: (socket: number, address: number, length: number) => number
  readonly execve: (program: number, args: number, env: number) => number
}

interface Ffi {
  dlopen(library: string, symbols: object): { readonly symbols: Libc }
  ptr(buffer: ArrayBufferView): number
}

const unix = 1
/** SOCK_DGRAM | SOCK_NONBLOCK: a journal that stands still must not stop the agent. */
const kind = 2 | 0o4000
/** sizeof(sun_path). */
const longestPath = 108

/**
 * Starts `program` anew in place of this process, with a datagram socket for each name that leads to a path; an `@`
 * stands for the zero byte of an abstract one (sd_notify(3)). Returns when it cannot.
 */
export async function restartWith(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  paths: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const { dlopen, ptr }: Ffi = await import('bun:ffi' as string)
  const { symbols: libc } = dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    execve: { args: ['ptr', 'ptr', 'ptr'], returns: 'i32' },
  })
  // Until the call is over, nothing that it points to may be collected.
  const held: ArrayBufferView[] = []
  const text = (value: string) => {
    const bytes = Buffer.from(`${value}\0`)
    held.push(bytes)
    return ptr(bytes)
  }
  const list = (values: readonly string[]) => {
    const pointers = BigUint64Array.from([...values.map((value) => BigInt(text(value))), 0n])
    held.push(pointers)
    return ptr(pointers)
  }
  const open = (path: string): number | undefined => {
    const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path)
    if (name.length >= longestPath) return undefined
    const address = Buffer.concat([Uint8Array.of(unix, 0), name])
    const socket = libc.socket(unix, kind, 0)
    return socket >= 0 && libc.connect(socket, ptr(address), address.length) === 0 ? socket : undefined
  }
  const sockets: [string, number | undefined][] = Object.entries(paths).map(([name, path]) => [
    name,
    path === undefined ? undefined : open(path),
  ])
  const whole = Object.entries(setEnvironment(env, sockets)).map(([name, value]) => `${name}=${value}`)
  libc.execve(text(program), list([program, ...args]), list(whole))
}
