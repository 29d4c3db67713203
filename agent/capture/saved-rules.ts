/**
 * iptables over nft and over legacy tables keep their rules apart; `plain` is a machine whose iptables knows only one of
 * them; `native` are nftables without iptables.
 */
export const variants = ['nft', 'legacy', 'plain', 'native'] as const
export type Variant = (typeof variants)[number]

/** What iptables-save or ip6tables-save printed, or nft of Istio's tables. */
export interface SavedRules {
  /** The program's name, without `-save`. */
  readonly prefix: string
  readonly variant: Variant
  readonly text: string
}

/** The variant to set rules with: the one that others on this machine use, and nft when nothing speaks against it. */
export function chooseVariant(shown: readonly SavedRules[]): Variant {
  const has = (variant: Variant) => shown.some((one) => one.variant === variant)
  const used = (variant: Variant) =>
    shown.some((one) => one.variant === variant && foreignRules(one.text).length > 0)
  if (has('legacy') && (!has('nft') || (used('legacy') && !used('nft')))) return 'legacy'
  if (has('nft')) return 'nft'
  return has('native') && !has('plain') ? 'native' : 'plain'
}

function foreignRules(saved: string): readonly string[] {
  return saved.split('\n').filter((line) => line.startsWith('-A ') && !line.includes('ISTIO_'))
}

/**
 * Lets connections be that are older than the capture. A machine may have tracked no connection until then, and
 * takes the next packet of each for a first one: what came from istiod on the sidecar's own stream would go to
 * Envoy's port and be answered with a reset. Only a SYN begins a connection.
 */
const older = '-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment mooring-older -j RETURN'
const olderRules = ['PREROUTING', 'OUTPUT'].map((chain) => `${chain} ${older}`)

/** Input for `iptables-restore --noflush` that sets those rules first, or undefined when they are there. */
export function olderScript(saved: string): string | undefined {
  const there = new Set(saved.split('\n').map((line) => line.trim().replaceAll('"', '')))
  const missing = olderRules.filter((rule) => !there.has(`-A ${rule}`))
  if (missing.length === 0) return undefined
  return ['*nat', ...missing.map((rule) => `-I ${rule}`), 'COMMIT', ''].join('\n')
}

function isOlder(line: string): boolean {
  return olderRules.includes(line.replace(/^-A /, '').replaceAll('"', ''))
}

/**
 * The rules of a capture in the output of iptables-save, as `table rule`: those in Istio's chains, those that
 * lead there, and those that leave an interface or an older connection out. What others have set does not show.
 */
export function ownRules(saved: string, interfaces: readonly string[]): readonly string[] {
  const bypasses = new Set(interfaces.flatMap(bypass))
  const own: string[] = []
  let table = ''
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim()
    else if (/^-A (ISTIO_|.* -j ISTIO_)/.test(line)) own.push(`${table} ${line.trim()}`)
    else if (table === 'nat' && (bypasses.has(line.trim()) || isOlder(line.trim())))
      own.push(`${table} ${line.trim()}`)
  }
  return own
}

/**
 * Input for `iptables-restore --noflush` that takes away what `ownRules` finds and the chains themselves, or
 * undefined when there is nothing. Istio's own cleanup knows only the rules that its arguments would make now.
 */
export function removalScript(saved: string, interfaces: readonly string[]): string | undefined {
  const bypasses = new Set(interfaces.flatMap(bypass))
  const tables = new Map<string, { jumps: string[]; chains: string[] }>()
  let table = ''
  for (const raw of saved.split('\n')) {
    const line = raw.trim()
    if (line.startsWith('*')) table = line.slice(1)
    const found = tables.get(table) ?? { jumps: [], chains: [] }
    const chain = /^:(ISTIO_\S+) /.exec(line)?.[1]
    if (chain !== undefined) found.chains.push(chain)
    else if (
      /^-A (?!ISTIO_).* -j ISTIO_/.test(line) ||
      (table === 'nat' && (bypasses.has(line) || isOlder(line)))
    ) {
      found.jumps.push(line.replace('-A', '-D'))
    } else continue
    tables.set(table, found)
  }
  if (tables.size === 0) return undefined
  return [...tables]
    .map(([name, { jumps, chains }]) =>
      [
        `*${name}`,
        ...jumps,
        ...chains.map((chain) => `-F ${chain}`),
        ...chains.map((chain) => `-X ${chain}`),
        'COMMIT',
        '',
      ].join('\n'),
    )
    .join('')
}

/** What istio-iptables sets for an interface that is left out (tools/istio-iptables/pkg/capture/run.go). */
function bypass(name: string): readonly string[] {
  return [`-A PREROUTING -i ${name} -j RETURN`, `-A OUTPUT -o ${name} -j RETURN`]
}

/**
 * What istio-iptables drops all TCP and UDP by while it mends rules (tools/istio-iptables/pkg/builder, buildGuardrails).
 * It takes them back itself, unless it is ended before.
 */
const guardrails: ReadonlySet<string> = new Set(
  ['INPUT', 'FORWARD', 'OUTPUT'].flatMap((chain) =>
    ['tcp', 'udp'].map((protocol) => `-A ${chain} -p ${protocol} -j DROP`),
  ),
)

/** Rules in the output of iptables-save that look like Istio's guardrails, each as often as it is there. */
export function guardrailsIn(saved: string): readonly string[] {
  let table = ''
  return saved.split('\n').filter((line) => {
    if (line.startsWith('*')) table = line.slice(1).trim()
    return table === 'filter' && guardrails.has(line.trim())
  })
}

/** Input for `iptables-restore --noflush` that takes away guardrails but those in `kept`, or undefined when there are none. */
export function liftScript(saved: string, kept: readonly string[]): string | undefined {
  const left = [...kept]
  const extra = guardrailsIn(saved).filter((line) => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  // The first that fits is deleted, and Istio puts its own first.
  return extra.length === 0
    ? undefined
    : ['*filter', ...extra.map((line) => line.replace('-A', '-D')), 'COMMIT', ''].join('\n')
}
