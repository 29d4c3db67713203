import { MooringError } from '../../shared/errors.ts'

/** The three files of a sidecar archive, with their modes; exactly what agents take. */
export const archiveFiles = [
  { name: 'bin/envoy', mode: 0o755 },
  { name: 'bin/pilot-agent', mode: 0o755 },
  { name: 'envoy_bootstrap_tmpl.json', mode: 0o644 },
] as const
export type ArchiveName = (typeof archiveFiles)[number]['name']

/**
 * Where they lie in Istio's packages (istio tools/packaging/packaging.mk). The setgid bit there is for its own start
 * script; the agent starts the sidecar with group 1337 by itself.
 */
const packageFiles: Readonly<Record<string, ArchiveName>> = {
  'usr/local/bin/envoy': 'bin/envoy',
  'usr/local/bin/pilot-agent': 'bin/pilot-agent',
  'var/lib/istio/envoy/envoy_bootstrap_tmpl.json': 'envoy_bootstrap_tmpl.json',
}

/** No file of a sidecar is larger. */
export const maxFileBytes = 2 ** 30

/** Go's names. */
export type Arch = 'amd64' | 'arm64'

/** A file out of a package, to be read to its end before the next one. */
export interface PackageEntry {
  readonly name: string
  readonly isFile: boolean
  readonly size: number
  readonly content: AsyncIterable<Uint8Array>
}

/** An opened package of Istio's sidecar. */
export interface SidecarPackage {
  readonly version: string
  readonly entries: AsyncIterable<PackageEntry>
}

/** What a file of a package is in the archive; undefined for the others. */
export function wantedFile(name: string): ArchiveName | undefined {
  return packageFiles[name.replace(/^\.?\/+/, '')]
}

/** The name of an archive. */
export function archiveFileName(version: string, arch: Arch): string {
  return `sidecar-${version}-${arch}.tar.gz`
}

/** Version and kind of machine, as the archive's name says; undefined for other names. */
export function parseArchiveName(
  name: string,
): { readonly version: string; readonly arch: Arch } | undefined {
  const [, version, arch] =
    /^sidecar-([A-Za-z0-9][A-Za-z0-9._+-]{0,63})-(amd64|arm64)\.tar\.gz$/.exec(name) ?? []
  return version === undefined || (arch !== 'amd64' && arch !== 'arm64') ? undefined : { version, arch }
}

/** A version that fits the controller's configuration. Throws `CONFIG_INVALID`. */
export function checkVersion(version: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/.test(version)) return version
  throw new MooringError('CONFIG_INVALID', { detail: `"${version}" is no version of a sidecar` })
}

/** Thrown for whatever is not as a sidecar's package or archive is. */
export function notASidecar(detail: string, cause?: unknown): MooringError {
  return new MooringError('ARTIFACT_INVALID', { detail, cause })
}
