// SPDX-License-Identifier: Apache-2.0
// Pages that keep themselves up to date until they are left: by what the server's stream of events
// says, by answers that wait for a change, and by the clock.

import { call, Problem } from './api'
import { notice } from './notice'
import type { Event } from './types'

const LONGEST_WAIT = 15000

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    const timer = window.setTimeout(done, ms)
    signal.addEventListener('abort', () => (window.clearTimeout(timer), done()), { once: true })
  })

/** Whether the server answers now; the shell shows it. */
export const link = { up: true, changed: (): void => undefined }

function setLink(up: boolean): void {
  if (link.up === up) return
  link.up = up
  link.changed()
}

/** What to do about a failed turn: true to try again. */
function recover(error: unknown): boolean {
  if (!(error instanceof Problem) || error.status >= 500 || error.status === 429) {
    setLink(false)
    return true
  }
  if (error.status === 401) location.hash = '#/login'
  else notice(error.message, 'bad')
  return false
}

/** Run `turn` until the page is left, `ms` apart; while the server does not answer, wait longer each time. */
export function everyWhile(signal: AbortSignal, ms: number, turn: () => Promise<void>): void {
  void (async () => {
    let wait = ms
    while (!signal.aborted) {
      try {
        await turn()
        setLink(true)
        wait = ms
      } catch (error) {
        if (signal.aborted || !recover(error)) return
        wait = Math.min(Math.max(wait, 500) * 2, LONGEST_WAIT)
      }
      await pause(wait, signal)
    }
  })()
}

/** Do it once for the page that is shown; a refusal is told. */
export function once(signal: AbortSignal, turn: () => Promise<void>): void {
  void turn().catch((error: unknown) => {
    if (!signal.aborted) recover(error)
  })
}

/** Lines of an SSE event to an Event; null for a comment, and for the word that old ones were pruned. */
function parse(block: string): Event | null {
  let kind = ''
  let data = ''
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) kind = line.slice(7)
    else if (line.startsWith('data: ')) data += line.slice(6)
  }
  if (!data) return null
  return kind === 'pruned' ? null : { ...(JSON.parse(data) as Event), kind }
}

async function read(body: ReadableStream<Uint8Array>, heard: (event: Event) => void): Promise<void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n')
    rest = blocks.pop() ?? ''
    blocks.map(parse).forEach((event) => event && heard(event))
  }
}

/** Hear every event from now on until the page is left. After a cut it goes on where it was: nothing
 * is missed. EventSource cannot send a token, so this reads the stream itself. */
export function listen(signal: AbortSignal, heard: (event: Event) => void): void {
  let last = ''
  everyWhile(signal, 1000, async () => {
    const headers: Record<string, string> = { Accept: 'text/event-stream' }
    if (last) headers['Last-Event-ID'] = last
    const answer = await call('GET', '/api/v1/events', { headers, signal })
    setLink(true)
    if (answer.body) await read(answer.body, (event) => ((last = String(event.seq)), heard(event)))
  })
}

/** A turn that runs soon after it was asked for, never twice at once, and at least every `ms`. */
export function refresher(signal: AbortSignal, ms: number, turn: () => Promise<void>): () => void {
  let wake = (): void => undefined
  let again = false
  everyWhile(signal, 100, async () => {
    again = false
    await turn()
    if (again) return
    await new Promise<void>((done) => {
      wake = done
      void pause(ms, signal).then(done)
    })
  })
  return () => ((again = true), wake())
}
