// SPDX-License-Identifier: Apache-2.0
// Pages that keep themselves up to date until they are left: by what the server's stream of events
// says, by answers that wait for a change, and by the clock.

import { call, Problem } from './api'
import { refused } from './notice'
import type { Event } from './types'

const LONGEST_WAIT = 15000

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    const end = () => {
      window.clearTimeout(timer)
      signal.removeEventListener('abort', end)
      done()
    }
    const timer = window.setTimeout(end, ms)
    signal.addEventListener('abort', end)
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
  else refused(error.message)
  return false
}

/** Until somebody looks at this tab. */
async function seen(signal: AbortSignal): Promise<void> {
  while (document.hidden && !signal.aborted) {
    await new Promise<void>((done) => {
      document.addEventListener('visibilitychange', () => done(), { once: true, signal })
      signal.addEventListener('abort', () => done(), { once: true })
    })
  }
}

/** Run `turn` while the tab is seen and until the page is left, `ms` apart; while the server does not answer, wait longer each time. */
export function everyWhile(signal: AbortSignal, ms: number, turn: () => Promise<void>): void {
  void (async () => {
    let wait = ms
    for (;;) {
      await seen(signal)
      if (signal.aborted) return
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

/** Do it once for the page that is shown, when the server answers; a refusal is told. */
export function once(signal: AbortSignal, turn: () => Promise<void>): void {
  const done = new AbortController()
  signal.addEventListener('abort', () => done.abort(), { once: true })
  everyWhile(done.signal, 0, async () => {
    await turn()
    done.abort()
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

/* ---- one stream for all pages: a browser has six connections to a server, in all its tabs together */

const listeners = new Set<(event: Event) => void>()
let streaming: AbortController | null = null
let last = ''

/** Read the stream as long as the tab is seen. After a cut it goes on where it was: nothing is missed.
 * EventSource cannot send a token, so this reads the stream itself. */
async function stream(signal: AbortSignal): Promise<void> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' }
  if (last) headers['Last-Event-ID'] = last
  const here = new AbortController()
  const leave = () => here.abort()
  const hide = () => document.hidden && here.abort()
  signal.addEventListener('abort', leave)
  document.addEventListener('visibilitychange', hide)
  try {
    const answer = await call('GET', '/api/v1/events', { headers, signal: here.signal })
    setLink(true)
    if (answer.body)
      await read(answer.body, (event) => {
        last = String(event.seq)
        listeners.forEach((heard) => heard(event))
      })
  } catch (error) {
    if (!here.signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', leave)
    document.removeEventListener('visibilitychange', hide)
  }
}

/** Hear every event from now on until the page is left. */
export function listen(signal: AbortSignal, heard: (event: Event) => void): void {
  listeners.add(heard)
  signal.addEventListener('abort', () => listeners.delete(heard), { once: true })
  if (streaming) return
  streaming = new AbortController()
  const { signal: whole } = streaming
  everyWhile(whole, 500, () => stream(whole))
}

/** Nobody is signed in any more. */
export function hangUp(): void {
  streaming?.abort()
  streaming = null
  last = ''
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
