import type { Effects } from '../effects.ts'
import { sidecarFileList } from '../sidecar/files.ts'
import type { RunFolder } from '../sidecar/run-folder.ts'
import type { Step } from './step.ts'

export interface FilesStepDeps {
  readonly runFolder: RunFolder
  readonly effects: Effects
}

/** Writes what pilot-agent reads. A new token is one small file and disturbs nothing. */
export function createFilesStep({ runFolder, effects }: FilesStepDeps): Step {
  return {
    name: 'files',
    condition: 'FilesWritten',
    check: (bundle) => runFolder.holds(sidecarFileList(bundle)),
    apply: (bundle) => effects.run('files-written', () => runFolder.write(sidecarFileList(bundle))),
  }
}
