import { spawn } from 'node:child_process'
import { Duplex, Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { notASidecar } from './layout.ts'

export type Compression = 'gzip' | 'zstd' | 'xz' | 'lzma' | 'none'

/** A stream that unpacks. What is xz or lzma goes through the program `xz`, since Node has neither. */
export function createDecompress(compression: Compression): Transform | Duplex {
  switch (compression) {
    case 'gzip':
      return createGunzip()
    case 'zstd':
      return createZstdDecompress()
    case 'none':
      return new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) })
    case 'xz':
    case 'lzma':
      return throughXz(compression)
  }
}

function throughXz(format: 'xz' | 'lzma'): Duplex {
  const args = ['--decompress', '--stdout', `--format=${format}`, '--memlimit-decompress=512MiB']
  const child = spawn('xz', args, { stdio: ['pipe', 'pipe', 'ignore'] })
  // A pair, which its documentation allows and its types do not know.
  const pair: unknown = { writable: child.stdin, readable: child.stdout }
  const stream = Duplex.from(pair as NodeJS.ReadableStream)
  child.once('error', () =>
    stream.destroy(notASidecar('it is packed with xz, and there is no program xz on this machine')),
  )
  child.once('exit', (code) => {
    if (code !== 0) stream.destroy(notASidecar('it cannot be unpacked: xz finds it damaged'))
  })
  stream.once('close', () => child.kill())
  return stream
}
