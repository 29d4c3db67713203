import { MooringError } from '../shared/errors.ts'

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds of `90`, `30s`, `10m`, `1h30m`, `7d`; throws `CONFIG_INVALID` for anything else. */
export function parseDuration(text: string, what: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)]
  const whole = parts.map((part) => part[0]).join('') === text && parts.length > 0
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  if (!whole) {
    throw new MooringError('CONFIG_INVALID', {
      detail: `${what}: "${text}" is no duration; write 30s, 10m, 1h30m or 7d`,
    })
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (unitSeconds[unit ?? ''] ?? 0), 0)
}

/** How long `ms` is, in one or two units, as people read it in a table. */
export function renderDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return join(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  if (hours < 8) return join(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  return `${Math.floor(hours / 24)}d`
}

/** When a time is or was, seen from `now`: `in 3h`, `5m ago`. */
export function renderMoment(time: number, now: number): string {
  return time >= now ? `in ${renderDuration(time - now)}` : `${renderDuration(now - time)} ago`
}

/** A time as people and programs both read it: local clock hands would differ from one reader to the next. */
export function renderTime(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`
}
