import type { Bundle } from '../../shared/api/bundle.ts'
import { runFiles } from './paths.ts'

/** A file that pilot-agent reads. */
export interface SidecarFile {
  /** Relative to pilot-agent's working folder. */
  readonly path: string
  readonly content: string
  readonly mode: number
  /** Whether it belongs to the sidecar's user; else to root. */
  readonly ofSidecar: boolean
  /** Not to be shown. */
  readonly secret: boolean
  /** A change of it needs a restart; the others are watched. */
  readonly readAtStart: boolean
}

/** All files that pilot-agent reads for this bundle. */
export function sidecarFileList(bundle: Bundle): readonly SidecarFile[] {
  const plain = { mode: 0o644, ofSidecar: false, secret: false, readAtStart: false }
  const annotations = podAnnotations(bundle)
  return [
    // Read at every call to istiod (istio security/pkg/credentialfetcher/plugin/token.go).
    {
      path: runFiles.token,
      content: bundle.token.value,
      mode: 0o600,
      ofSidecar: true,
      secret: true,
      readAtStart: false,
    },
    { ...plain, path: runFiles.rootCertificate, content: bundle.mesh.rootCertificates },
    ...(annotations === ''
      ? []
      : [{ ...plain, path: runFiles.annotations, content: annotations, readAtStart: true }]),
  ]
}

/** Folders below the working folder in which nothing may lie but the files of the list and `writableFolders`. */
export const exactFolders = [
  'etc/certs',
  'etc/istio/pod',
  'var/run/secrets',
  'var/run/secrets/tokens',
] as const

/** Folders in which pilot-agent makes files and sockets of its own. */
export const writableFolders = [runFiles.config, 'var/run/secrets/workload-spiffe-uds'] as const

/**
 * What a pod's annotations would say. Interfaces that are not captured must not be reported as the proxy's own
 * addresses either (istio pilot/cmd/pilot-agent/app/cmd.go, getExcludeInterfaces).
 */
function podAnnotations({ capture }: Bundle): string {
  if (capture.excludeInterfaces.length === 0) return ''
  return `traffic.sidecar.istio.io/excludeInterfaces="${capture.excludeInterfaces.join(',')}"\n`
}
