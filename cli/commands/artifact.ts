import { basename, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { MooringError } from '../../shared/errors.ts'
import { action, print } from '../action.ts'
import { type BuiltArchive, buildArchive, digestOf, unpackPackage } from '../artifact/archive.ts'
import { openDeb } from '../artifact/deb.ts'
import { checkVersion } from '../artifact/layout.ts'
import { download } from '../artifact/mirror.ts'
import { openRpm } from '../artifact/rpm.ts'
import { signArchive, verifySignature } from '../artifact/signature.ts'
import { verifyArchive } from '../artifact/upload.ts'
import { inFolder } from '../artifact/work-folder.ts'
import type { Session } from '../session.ts'
import { addServedArtifactCommands } from './served-artifact.ts'

interface BuildOptions {
  readonly out: string
  readonly package?: string
  readonly url?: string
  readonly sha256?: string
  readonly pilotAgent?: string
  readonly envoy?: string
  readonly bootstrap?: string
  // Not `version`, which commander takes for the program's own.
  readonly sidecarVersion?: string
  readonly sign?: string
}

/** `mooring artifact ...`: sidecar archives, which controllers serve to their VMs. */
export function addArtifactCommands(program: Command, session: Session): void {
  const artifact = program.command('artifact').description('sidecar archives, which a controller serves')

  const build = artifact
    .command('build')
    .description("make an archive of Istio's sidecar package, or of its programs")
    .requiredOption('--out <dir>', 'where to put it')
    .option('--package <file>', "Istio's istio-sidecar.deb or istio-sidecar.rpm")
    .option('--url <url>', 'the same from a mirror, https; needs --sha256')
    .option('--sha256 <hex>', 'digest that the package must have')
    .option('--pilot-agent <file>', 'instead of a package: pilot-agent')
    .option('--envoy <file>', 'and Envoy')
    .option('--bootstrap <file>', 'and envoy_bootstrap_tmpl.json')
    .option('--sidecar-version <version>', "its version; without it, the package's")
    .option('--sign <file>', 'sign it with this Ed25519 key (PEM)')
  action<BuildOptions>(build, async (_, options) => {
    const built = await inFolder(options.out, (folder) => make(options, folder, session.signal))
    const signature =
      options.sign === undefined
        ? {}
        : { signature: await signArchive(built.file, built.sha256, options.sign) }
    const { version, arch, file } = built
    const entry = [`  - version: ${version}`, `    arch: ${arch}`, `    file: ${file}`]
    print(session, options, { ...built, ...signature }, () => [
      `${file}: ${Math.round(built.size / 1e6)} MB, sha256:${built.sha256}`,
      '',
      `To have the controller serve it: mooring artifact add ${file}`,
      "Or, with the file on the controller's machine, for sidecar.artifacts of its configuration:",
      ...entry,
    ])
  })

  const verify = artifact
    .command('verify')
    .description('look whether an archive is whole, and whose it is')
    .argument('<file>')
    .option('--sha256 <hex>', 'digest that it must have')
    .option('--key <file>', 'Ed25519 public key (PEM) of whoever signed it')
  action<{ sha256?: string; key?: string }>(verify, async ([file = ''], options) => {
    const { sha256, size } = await digestOf(file)
    if (options.sha256 !== undefined && options.sha256 !== sha256) {
      throw new MooringError('ARTIFACT_DIGEST_MISMATCH', { detail: `${file} is sha256:${sha256}` })
    }
    if (options.key !== undefined) await verifySignature(file, sha256, options.key)
    const arch = await verifyArchive(file)
    const signed = options.key !== undefined
    print(session, options, { file, arch, sha256, size, signed }, () => [
      `${file}: whole, for ${arch}, sha256:${sha256}${signed ? ', signed' : ''}`,
    ])
  })

  addServedArtifactCommands(artifact, session)
}

async function make(options: BuildOptions, folder: string, signal: AbortSignal): Promise<BuiltArchive> {
  const { pilotAgent, envoy, bootstrap, sidecarVersion: wanted, url } = options
  const out = resolve(options.out)
  if (pilotAgent !== undefined && envoy !== undefined && bootstrap !== undefined) {
    if (wanted === undefined) throw invalid('programs do not say their version: --sidecar-version')
    const files = {
      'bin/pilot-agent': pilotAgent,
      'bin/envoy': envoy,
      'envoy_bootstrap_tmpl.json': bootstrap,
    }
    return buildArchive(checkVersion(wanted), files, out)
  }
  const file = url === undefined ? options.package : join(folder, basename(new URL(url).pathname))
  if (file === undefined) {
    throw invalid('say of what: --package, or --url, or --pilot-agent with --envoy and --bootstrap')
  }
  if (url !== undefined) await download(url, options.sha256, file, signal)
  else if (options.sha256 !== undefined && (await digestOf(file)).sha256 !== options.sha256) {
    throw new MooringError('ARTIFACT_DIGEST_MISMATCH', { detail: file })
  }
  const opened = await (file.endsWith('.rpm') ? openRpm(file) : openDeb(file))
  const files = await unpackPackage(opened, folder)
  return buildArchive(checkVersion(wanted ?? opened.version), files, out)
}

function invalid(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail, cause })
}
