import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Arch } from '../tools/runtimes.ts'
import type { Layer } from './layer.ts'

/** Media types of the OCI image specification, version 1. */
const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const

/** Points to a blob of the layout. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface ImageDescription {
  readonly arch: Arch
  readonly layers: readonly (Layer & { readonly made: string })[]
  /** Seconds since 1970. */
  readonly epoch: number
  /** What runs in it, and as whom (OCI image configuration, `config`). */
  readonly config: object
  readonly annotations: Readonly<Record<string, string>>
}

/** Writes what one image is below `blobs`, next to its layers; returns where its manifest is. */
export async function writeManifest(blobs: string, image: ImageDescription): Promise<Descriptor> {
  const { arch, layers, epoch, annotations } = image
  const created = new Date(epoch * 1000).toISOString()
  const config = await writeBlob(blobs, types.config, {
    created,
    architecture: arch,
    os: 'linux',
    ...(arch === 'arm64' && { variant: 'v8' }),
    config: { ...image.config, Labels: annotations },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ made }) => ({ created, created_by: made })),
  })
  return writeBlob(blobs, types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers: layers.map(({ digest, size }) => ({ mediaType: types.layer, digest, size })),
    annotations,
  })
}

/** Joins the images of several kinds of machines; returns where their index is, whose digest is that of the whole. */
export function writeIndex(
  blobs: string,
  images: readonly (Descriptor & { readonly arch: Arch })[],
  annotations: Readonly<Record<string, string>>,
): Promise<Descriptor> {
  const manifests = images.map(({ arch, ...descriptor }) => ({
    ...descriptor,
    platform: { architecture: arch, os: 'linux', ...(arch === 'arm64' && { variant: 'v8' }) },
  }))
  return writeBlob(blobs, types.index, { schemaVersion: 2, mediaType: types.index, manifests, annotations })
}

/** Makes a folder a layout with one image of that name (OCI image layout; containerd reads the first annotation). */
export async function writeLayout(folder: string, index: Descriptor, name: string): Promise<void> {
  const annotations = {
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': name.split(':').at(-1) ?? name,
  }
  const entry = { schemaVersion: 2, mediaType: types.index, manifests: [{ ...index, annotations }] }
  await writeFile(path.join(folder, 'index.json'), JSON.stringify(entry))
  await writeFile(path.join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

async function writeBlob(blobs: string, mediaType: string, content: object): Promise<Descriptor> {
  const text = JSON.stringify(content)
  const hex = createHash('sha256').update(text).digest('hex')
  await writeFile(path.join(blobs, hex), text)
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) }
}
