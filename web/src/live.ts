// SPDX-License-Identifier: Apache-2.0
// Pages that keep themselves up to date until they are left.

import { Problem } from './api'
import { notice } from './dom'

const LONGEST_WAIT = 15000

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    const timer = window.setTimeout(done, ms)
    signal.addEventListener('abort', () => (window.clearTimeout(timer), done()), { once: true })
  })

/** Run `turn` again and again, `ms` apart; while the server does not answer, wait longer each time. */
export function everyWhile(signal: AbortSignal, ms: number, turn: () => Promise<void>): void {
  void (async () => {
    let wait = ms
    while (!signal.aborted) {
      try {
        await turn()
        wait = ms
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof Problem && error.status === 401) {
          location.hash = '#/login'
          return
        }
        notice(error instanceof Problem ? error.message : 'fleetd does not answer; trying again', 'bad')
        if (error instanceof Problem && error.status === 404) return
        wait = Math.min(Math.max(wait, 500) * 2, LONGEST_WAIT)
      }
      await pause(wait, signal)
    }
  })()
}
