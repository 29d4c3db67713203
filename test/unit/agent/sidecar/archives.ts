import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import type { SidecarArtifact } from '../../../../shared/api/bundle.ts'

export type Entry = Partial<Header> & { readonly name: string; readonly content?: string }

export const goodEntries: readonly Entry[] = [
  { name: 'bin/pilot-agent', content: 'the agent' },
  { name: 'bin/envoy', content: 'the proxy'.repeat(10_000) },
  { name: 'envoy_bootstrap_tmpl.json', content: '{}' },
]

/** An archive of these entries, and what a bundle would say of it. */
export async function archiveOf(
  entries: readonly Entry[],
  version = '1.0.0',
): Promise<{ bytes: Buffer; artifact: SidecarArtifact }> {
  const packing = pack()
  for (const { content = '', ...header } of entries) packing.entry(header, content)
  packing.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of packing as unknown as AsyncIterable<Buffer>) chunks.push(chunk)
  return describe(gzipSync(Buffer.concat(chunks)), version)
}

export function describe(bytes: Buffer, version = '1.0.0'): { bytes: Buffer; artifact: SidecarArtifact } {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { bytes, artifact: { version, arch: 'amd64', sha256, size: bytes.length } }
}

export async function archiveFile(path: string, entries: readonly Entry[]): Promise<string> {
  await writeFile(path, (await archiveOf(entries)).bytes)
  return path
}
