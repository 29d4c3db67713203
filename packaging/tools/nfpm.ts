import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { provideFolder } from './cache.ts'
import { run } from './command.ts'

/** The newest that can be built of Go's module proxy alone. */
export const nfpmVersion = '2.41.1'

export interface NfpmDeps {
  readonly cacheFolder: string
  /** This process' PATH. */
  readonly searchPath: string
}

const buildLimitMs = 20 * 60_000

/** Path of nfpm, which makes deb and rpm; built once, of its Go module, which Go's checksum database vouches for. */
export async function provideNfpm({ cacheFolder, searchPath }: NfpmDeps): Promise<string> {
  const folder = await provideFolder(join(cacheFolder, `nfpm-${nfpmVersion}`), async (folder) => {
    const go = await findGo(searchPath)
    const env = { GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off' }
    const module = `github.com/goreleaser/nfpm/v2/cmd/nfpm@v${nfpmVersion}`
    await run(go, ['install', '-trimpath', '-ldflags=-s -w', module], {
      cwd: folder,
      env,
      timeoutMs: buildLimitMs,
    })
  })
  return join(folder, 'nfpm')
}

async function findGo(searchPath: string): Promise<string> {
  for (const folder of [...searchPath.split(delimiter), '/usr/local/go/bin']) {
    const found = await access(join(folder, 'go')).then(
      () => true,
      () => false,
    )
    if (found) return join(folder, 'go')
  }
  throw new Error('there is no Go on this machine, which nfpm is built with: see go.dev/doc/install')
}
