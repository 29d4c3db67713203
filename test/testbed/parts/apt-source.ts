import { mustRun } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'

/** Where this machine gets Debian from; roots of machines are made from the same place. */
export interface AptSource {
  /** The codename, for example `bookworm`. */
  readonly suite: string
  readonly mirror: string
  /** Lines of sources.list: the suite with its updates and security fixes. */
  readonly lines: readonly string[]
}

const format = '$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)'

/** What apt on this machine is configured with; `PACKAGE_MISSING` where that is not Debian. */
export async function readAptSource(signal?: AbortSignal): Promise<AptSource> {
  const limits = signal === undefined ? {} : { signal }
  // apt itself is asked, since it alone knows both formats of its sources.
  const list = () => mustRun('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], limits)
  const known = parseTargets((await list()).stdout)
  if (known !== undefined) return known
  // Without its lists apt cannot say whose a source is.
  await mustRun('apt-get', ['--quiet', 'update'], { ...limits, timeoutMs: 5 * 60_000 })
  const source = parseTargets((await list()).stdout)
  if (source !== undefined) return source
  throw new TestbedError(
    'PACKAGE_MISSING',
    "a Debian root: apt on this machine has no source of Debian's own",
  )
}

/** Debian's own sources out of what `apt-get indextargets` says; `undefined` when there is none. */
export function parseTargets(text: string): AptSource | undefined {
  const rows = text
    .split('\n')
    .map((line) => line.split('|'))
    .filter(([origin, , , , , component]) => origin === 'Debian' && component === 'main')
  const main = rows.find(([, label, , release, codename]) => label === 'Debian' && release === codename)
  const [, , mirror, , suite] = main ?? []
  if (mirror === undefined || suite === undefined) return undefined
  const lines = rows
    .filter(([, , , release]) => [suite, `${suite}-updates`, `${suite}-security`].includes(release ?? ''))
    .map(([, , uri, release]) => `deb ${uri} ${release} main`)
  return { suite, mirror, lines: [...new Set(lines)] }
}
