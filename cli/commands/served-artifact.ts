import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { Type } from 'typebox'
import { ArtifactView } from '../../shared/api/artifact.ts'
import { MooringError } from '../../shared/errors.ts'
import { action, print } from '../action.ts'
import { type BuiltArchive, digestOf } from '../artifact/archive.ts'
import { checkVersion, parseArchiveName } from '../artifact/layout.ts'
import { readSignature } from '../artifact/signature.ts'
import { uploadArchive, verifyArchive } from '../artifact/upload.ts'
import type { Client } from '../client.ts'
import { renderMoment } from '../duration.ts'
import type { Session } from '../session.ts'
import { renderTable } from '../table.ts'

/** `mooring artifact add|list|remove`: the archives that a controller serves. */
export function addServedArtifactCommands(artifact: Command, session: Session): void {
  const add = artifact
    .command('add')
    .description('upload an archive to the controller; pools go over to it at their own pace')
    .argument('<file>', 'the archive; FILE.sig beside it is sent along')
    .option('--sidecar-version <version>', "its version; without it, the one in the file's name")
  action<{ sidecarVersion?: string }>(add, async ([file = ''], options) => {
    const version = options.sidecarVersion ?? parseArchiveName(basename(file))?.version
    if (version === undefined) {
      throw new MooringError('CONFIG_INVALID', {
        detail: `${file} does not say its version: --sidecar-version`,
      })
    }
    const archive = {
      ...{ file, version: checkVersion(version), arch: await verifyArchive(file) },
      ...(await digestOf(file)),
    }
    const client = await session.client(options.context)
    await uploadArchive(client, archive, await readSignature(file), (received) => {
      if (options.json === true) return
      session.terminal.err(
        `${Math.round((100 * received) / archive.size)} % of ${megabytes(archive.size)} MB\n`,
      )
    })
    const { arch, sha256, size } = archive
    print(session, options, { version, arch, sha256, size }, () => [
      `sidecar ${version} for ${arch} is served: pools go over to it as their rollout says (mooring pool list)`,
    ])
  })

  const list = artifact
    .command('list')
    .description('the archives that the controller serves, or those in a folder')
    .argument('[dir]', 'the folder')
  action(list, async ([dir], options) => {
    if (dir !== undefined) {
      const found = await inDirectory(dir)
      return print(session, options, found, () => folderTable(found, session))
    }
    const served = await listServed(await session.client(options.context))
    print(session, options, served, () => servedTable(served, session))
  })

  const remove = artifact
    .command('remove')
    .description('delete an uploaded archive that no VM has')
    .argument('<artifact>', 'its version, or its digest')
    .option('--arch <arch>', 'amd64 or arm64, where a version is there for both')
  action<{ arch?: string }>(remove, async ([wanted = ''], options) => {
    const client = await session.client(options.context)
    const { version, arch, sha256 } = choose(await listServed(client), wanted, options.arch)
    await client.send('DELETE', `/v1/artifacts/${sha256}`)
    print(session, options, { version, arch, sha256, deleted: true }, () => [
      `sidecar ${version} for ${arch} is served no longer`,
    ])
  })
}

function listServed(client: Client): Promise<ArtifactView[]> {
  return client.call('GET', '/v1/artifacts', Type.Array(ArtifactView))
}

function choose(served: readonly ArtifactView[], wanted: string, arch: string | undefined): ArtifactView {
  const fitting = served.filter(
    (one) => [one.version, one.sha256].includes(wanted) && (arch === undefined || one.arch === arch),
  )
  const [first, second] = fitting
  if (first === undefined) throw new MooringError('NOT_FOUND', { detail: `artifact ${wanted}` })
  if (second !== undefined) {
    throw new MooringError('CONFIG_INVALID', { detail: `${wanted} is there for both: say --arch` })
  }
  return first
}

async function inDirectory(dir: string): Promise<readonly BuiltArchive[]> {
  const found: BuiltArchive[] = []
  for (const name of (await readdir(dir)).toSorted()) {
    const about = parseArchiveName(name)
    if (about === undefined) continue
    const file = resolve(dir, name)
    found.push({ ...about, file, ...(await digestOf(file)) })
  }
  return found
}

function folderTable(found: readonly BuiltArchive[], { paint }: Session): readonly string[] {
  const head = ['VERSION', 'ARCH', 'MB', 'SHA256', 'FILE']
  const rows = found.map((one) => [one.version, one.arch, megabytes(one.size), one.sha256, one.file])
  return renderTable({ head, rows, empty: 'No archives.' }, paint)
}

function servedTable(served: readonly ArtifactView[], { paint, clock }: Session): readonly string[] {
  const head = ['VERSION', 'ARCH', 'OFFERED', 'VMS', 'MB', 'SHA256', 'FROM']
  const rows = served.map((one) => [
    one.version,
    one.arch,
    one.offered ? 'yes' : 'no',
    String(one.vms),
    megabytes(one.size),
    one.sha256.slice(0, 12),
    one.addedAt === undefined
      ? one.source
      : `${one.addedBy ?? 'an operator'}, ${renderMoment(one.addedAt, clock.now())}`,
  ])
  return renderTable({ head, rows, empty: 'The controller serves no archives.' }, paint)
}

function megabytes(size: number): string {
  return String(Math.round(size / 1e6))
}
