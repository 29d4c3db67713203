import { notMooring } from './answer.ts'

/** One event of a stream of server-sent events. */
export interface ServerEvent {
  readonly event: string
  readonly data: string
}

/** Takes text as it comes and gives the events that are complete. */
export interface EventReader {
  push(text: string): readonly ServerEvent[]
}

/**
 * Reads `text/event-stream` as the HTML standard describes it (9.2.6), as far as it is used here: `event`, `data`,
 * comments. `maxLength` bounds what one event may hold; longer ones throw `CONTROLLER_UNREACHABLE`.
 */
export function createEventReader(maxLength = 1024 * 1024): EventReader {
  let rest = ''
  let event = ''
  let data: string[] = []
  let length = 0

  function line(text: string): ServerEvent | undefined {
    if (text === '') {
      const complete = data.length === 0 ? undefined : { event: event || 'message', data: data.join('\n') }
      event = ''
      data = []
      length = 0
      return complete
    }
    const colon = text.indexOf(':')
    const field = colon === -1 ? text : text.slice(0, colon)
    const value = colon === -1 ? '' : text.slice(colon + 1).replace(/^ /, '')
    length += text.length
    if (field === 'event') event = value
    if (field === 'data') data.push(value)
    return undefined
  }

  return {
    push(text) {
      rest += text
      const events: ServerEvent[] = []
      // A \r at the very end may be half of a \r\n.
      for (let match = /\r\n|\n|\r(?!$)/.exec(rest); match !== null; match = /\r\n|\n|\r(?!$)/.exec(rest)) {
        const complete = line(rest.slice(0, match.index))
        rest = rest.slice(match.index + match[0].length)
        if (complete !== undefined) events.push(complete)
      }
      if (rest.length + length > maxLength) throw notMooring('it sends an event without end')
      return events
    },
  }
}
