import { type ChildProcess, type StdioOptions, spawn as spawnProcess } from 'node:child_process'
import { type CommandResult, finished } from '../command.ts'
import { fullPath } from '../on-path.ts'
import { endProcesses, processesIn } from './namespace-processes.ts'

export interface SpawnOptions {
  /** The whole environment. @defaultValue `PATH`, `HOME=/` and `LANG` only */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  /** @defaultValue no input; output and errors piped, so somebody must read them */
  readonly stdio?: StdioOptions
  readonly signal?: AbortSignal
}

export interface ExecOptions extends Omit<SpawnOptions, 'stdio'> {
  /** @defaultValue 30000 */
  readonly timeoutMs?: number
  readonly input?: string
}

/** A network namespace; every process in it is ended when the network closes. */
export interface Namespace {
  readonly name: string
  /** For `nsenter --net=`. */
  readonly path: string
  /** Starts a program in it; `pid` is the program's own. */
  spawn(command: string, args?: readonly string[], options?: SpawnOptions): ChildProcess
  /** Runs a program in it to its end, whatever its exit code. */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<CommandResult>
  /** All processes in it, also those that nobody here started. */
  pids(): Promise<readonly number[]>
  /** SIGTERM to all, SIGKILL after `graceMs` to those that are left; returns when none is. */
  endAll(graceMs?: number): Promise<void>
  /** SIGKILL to all; returns when none is left. */
  killAll(): Promise<void>
}

/** A file of the machine that processes of a namespace see replaced by another. */
export interface ReplacedFile {
  readonly path: string
  readonly by: string
}

// Arguments: the name of the machine, pairs of files up to `--`, then the command. `exec`, so that the pid stays the
// program's.
const replaceAndRun = `
echo "$1" > /proc/sys/kernel/hostname || exit 125
shift
while [ "$1" != -- ]; do
  if [ -e "$2" ]; then mount --bind "$1" "$2" || exit 125; fi
  shift 2
done
shift
exec "$@"`

/** Handles a network namespace that exists already. */
export function createNamespace(deps: {
  readonly name: string
  /** What makes it a machine of its own to its processes; without it they see this machine's name and files. */
  readonly machine?: { readonly hostname: string; readonly replacedFiles: readonly ReplacedFile[] }
}): Namespace {
  const { name, machine } = deps
  const path = `/run/netns/${name}`
  const children = new Set<ChildProcess>()

  function commandLine(
    command: string,
    args: readonly string[],
    ids: { uid?: number; gid?: number },
  ): string[] {
    // nsenter and not `ip netns exec`: the latter puts each process into a mount namespace with another /sys, where
    // cgroups cannot be seen and mounts made later by others do not arrive. A network namespace is all a VM needs.
    const line = [`--net=${path}`, '--']
    if (machine !== undefined) {
      const pairs = machine.replacedFiles.flatMap((file) => [file.by, file.path])
      line.push(
        'unshare',
        '--mount',
        '--uts',
        '--propagation',
        'slave',
        '--',
        'sh',
        '-c',
        replaceAndRun,
        'sh',
        machine.hostname,
        ...pairs,
        '--',
      )
    }
    if (ids.uid !== undefined || ids.gid !== undefined) {
      line.push('setpriv', '--clear-groups')
      if (ids.uid !== undefined) line.push(`--reuid=${ids.uid}`)
      if (ids.gid !== undefined) line.push(`--regid=${ids.gid}`)
      line.push('--')
    }
    return [...line, command, ...args]
  }

  function spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const { uid, gid, cwd, signal } = options
    const ids = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) }
    const child = spawnProcess('nsenter', commandLine(command, args, ids), {
      env: options.env ?? { PATH: fullPath(process.env.PATH), HOME: '/', LANG: 'C.UTF-8' },
      stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
      // A VM's processes do not belong to the terminal: Ctrl-C reaches the testbed, which ends them in order.
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal === undefined ? {} : { signal }),
    })
    children.add(child)
    child.once('exit', () => children.delete(child))
    child.once('error', () => children.delete(child))
    return child
  }

  async function exec(command: string, args: readonly string[] = [], options: ExecOptions = {}) {
    const { signal, timeoutMs, input, ...rest } = options
    signal?.throwIfAborted()
    const child = spawn(command, args, {
      ...rest,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    return finished(child, `${command} ${args.join(' ')} (in ${name})`, {
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(input === undefined ? {} : { input }),
    })
  }

  async function endAll(graceMs = 5_000): Promise<void> {
    // A child that has not entered the namespace yet is not listed in it; the others get one signal, not two.
    const inside = new Set(await processesIn(name))
    for (const child of children)
      if (child.pid !== undefined && !inside.has(child.pid)) child.kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL')
    await endProcesses(name, graceMs)
  }

  return { name, path, spawn, exec, pids: () => processesIn(name), endAll, killAll: () => endAll(0) }
}
