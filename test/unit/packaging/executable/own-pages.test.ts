import t from 'tap'
import { ownPages } from '../../../../packaging/executable/own-pages.ts'

const program = '/usr/bin/mooring-agent'

function piece(range: string, rights: string, inode: number, path: string, anonymousKb: number): string {
  return [
    `${range} ${rights} 00000000 fe:00 ${inode}                       ${path}`,
    'Size:                 64 kB',
    'Rss:                  64 kB',
    `Anonymous:    ${String(anonymousKb).padStart(10)} kB`,
    'VmFlags: rd ex mr mw me',
    '',
  ].join('\n')
}

t.test('only pieces that hold the file of the program and nothing else', async (t) => {
  const smaps = [
    piece('00200000-00300000', 'r--p', 7, program, 0),
    piece('00300000-00500000', 'r-xp', 7, program, 0),
    // Written to, and protected afterwards: what is in there is in no file.
    piece('00500000-00504000', 'r--p', 7, program, 16),
    piece('00504000-00600000', 'rw-p', 7, program, 0),
    piece('00600000-00700000', 'r-xs', 7, program, 0),
    piece('7f0000000000-7f0000100000', 'r-xp', 8, '/usr/lib/libc.so.6', 0),
    piece('7f1000000000-7f1000100000', 'rw-p', 0, '', 0),
    piece('7f2000000000-7f2000100000', 'r-xp', 7, `${program} (deleted)`, 0),
    piece('7ffc00000000-7ffc00002000', 'r-xp', 0, '[vdso]', 0),
  ].join('')
  t.same(ownPages(smaps, program), [
    { start: 0x200000n, length: 0x100000n },
    { start: 0x300000n, length: 0x200000n },
  ])
  t.same(ownPages('', program), [])
})

t.test('a piece of which the kernel does not say what it holds is left alone', async (t) => {
  const smaps = piece('00200000-00300000', 'r-xp', 7, program, 0).replace(/Anonymous.*\n/, '')
  t.same(ownPages(smaps, program), [])
})
