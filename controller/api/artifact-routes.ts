import { Type } from 'typebox'
import {
  ArtifactParams,
  ArtifactPiece,
  ArtifactReceived,
  ArtifactView,
  uploadLimits,
} from '../../shared/api/artifact.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { type App, audited, NoContent, operator, principalOf } from './app.ts'
import type { ArtifactFolder } from './artifact-folder.ts'
import { checkUpload, usersOf } from './artifact-rules.ts'
import type { Artifacts } from './artifacts.ts'
import type { readTrustedKeys } from './trusted-keys.ts'

export interface ArtifactRoutesDeps {
  readonly artifacts: Artifacts
  readonly kept: ArtifactFolder
  readonly trustedKeys: Awaited<ReturnType<typeof readTrustedKeys>>
  readonly store: ResourceStore
  readonly fleet: Pick<Fleet, 'enqueuePool'>
  readonly audit: Audit
}

const bytesType = 'application/octet-stream'

/** Sidecar archives, which operators bring and agents fetch. */
export function artifactRoutes(app: App, deps: ArtifactRoutesDeps): void {
  const { artifacts, kept, trustedKeys, store, fleet, audit } = deps
  const vms = async () => (await store.list('vm')).map(({ value }) => value)

  app.route({
    method: 'GET',
    url: '/v1/artifacts',
    config: { access: operator('viewer', 'all') },
    schema: {
      summary: 'The sidecar archives that are served; of each platform the first is what VMs are to have',
      tags: ['artifacts'],
      response: { 200: Type.Array(ArtifactView) },
    },
    handler: async () => {
      const records = await vms()
      const served = artifacts.list()
      return served.map(({ version, arch, sha256, size }) => {
        const uploaded = kept.list().find((one) => one.sha256 === sha256)
        const offered = served.find((one) => one.arch === arch)?.sha256 === sha256
        return {
          ...{ version, arch, sha256, size, offered, vms: usersOf(sha256, records) },
          ...(uploaded === undefined
            ? { source: 'configuration' as const }
            : { source: 'upload' as const, addedAt: uploaded.addedAt, addedBy: uploaded.addedBy }),
        }
      })
    },
  })

  app.route({
    method: 'DELETE',
    url: '/v1/artifacts/:sha256',
    config: { access: operator('admin', 'all') },
    schema: {
      summary: 'Deletes an uploaded archive that no VM has',
      tags: ['artifacts'],
      params: ArtifactParams,
      response: { 204: NoContent },
    },
    handler: async (request, reply) => {
      const { sha256 } = request.params
      await audited(audit, request, { action: 'artifact.delete', target: `artifact/${sha256}` }, async () => {
        if (artifacts.find(sha256) !== undefined && kept.fileOf(sha256) === undefined) {
          throw new MooringError('ARTIFACT_REFUSED', {
            detail: "it is the configuration's: sidecar.artifacts",
          })
        }
        await kept.remove(sha256, async () => usersOf(sha256, await vms()))
        await lookAgain()
      })
      return reply.code(204).send(null)
    },
  })

  // A context of its own: no other route reads such bodies, and this one no JSON.
  app.register(async (inner) => {
    inner.removeAllContentTypeParsers()
    inner.addContentTypeParser(
      bytesType,
      { parseAs: 'buffer', bodyLimit: uploadLimits.piece },
      (_request, body, done) => done(null, body),
    )
    const scope = inner as unknown as App
    scope.route({
      method: 'PUT',
      url: '/v1/artifacts/:sha256',
      bodyLimit: uploadLimits.piece,
      config: { access: operator('admin', 'all') },
      schema: {
        summary: 'Takes the next piece of an archive; with the last one it is checked and served',
        tags: ['artifacts'],
        consumes: [bytesType],
        params: ArtifactParams,
        querystring: ArtifactPiece,
        response: { 200: ArtifactReceived },
      },
      handler: async (request) => {
        const { sha256 } = request.params
        const about = request.query
        const bytes: unknown = request.body
        if (!Buffer.isBuffer(bytes)) {
          throw new MooringError('REQUEST_INVALID', { detail: `the body is not ${bytesType}` })
        }
        const served = artifacts.find(sha256)
        if (served?.version === about.version) return { sha256, received: served.size, served: true }
        if (served !== undefined) {
          throw new MooringError('ARTIFACT_REFUSED', { detail: `it is served already, as ${served.version}` })
        }
        const piece = { sha256, about, bytes, by: principalOf(request).name }
        const check = () => checkUpload(sha256, about, artifacts.list(), trustedKeys)
        const what = { action: 'artifact.add', target: `artifact/${sha256}`, detail: about.version }
        const take = async () => ({ sha256, ...(await kept.receive(piece, check)) })
        // One record for an archive, not one for each piece; a refusal is written down whenever it comes.
        if (about.offset + bytes.length < about.size) {
          return take().catch((error) => audited(audit, request, what, () => Promise.reject(error)))
        }
        const received = await audited(audit, request, what, take)
        await lookAgain()
        return received
      },
    })
  })

  /** The offer changed: each pool goes over to it at its own pace. */
  async function lookAgain(): Promise<void> {
    for (const { name } of await store.list('pool')) fleet.enqueuePool(name)
  }
}
