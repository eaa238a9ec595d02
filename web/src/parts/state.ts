// SPDX-License-Identifier: Apache-2.0
// How states look: a shape, a word and a colour, never a colour alone.

import { h, type Described } from '../base/dom'
import { words } from '../base/format'
import { icon } from '../base/icon'

interface Look {
  sign: string
  tone: 'good' | 'bad' | 'busy' | 'wait' | 'back' | 'idle'
}

const LOOKS: Record<string, Look> = {
  // rollouts
  draft: { sign: 'ring', tone: 'idle' },
  planning: { sign: 'half', tone: 'busy' },
  waiting_approval: { sign: 'person', tone: 'wait' },
  denied: { sign: 'failed', tone: 'bad' },
  ready: { sign: 'ring', tone: 'wait' },
  scheduled: { sign: 'clock', tone: 'wait' },
  starting: { sign: 'running', tone: 'busy' },
  paused: { sign: 'paused', tone: 'wait' },
  stopping: { sign: 'stopped', tone: 'wait' },
  stopped: { sign: 'stopped', tone: 'bad' },
  completed: { sign: 'done', tone: 'good' },
  // stages, and some of rollouts too
  pending: { sign: 'dot', tone: 'idle' },
  running: { sign: 'running', tone: 'busy' },
  soaking: { sign: 'clock', tone: 'busy' },
  succeeded: { sign: 'done', tone: 'good' },
  failed: { sign: 'failed', tone: 'bad' },
  inconclusive: { sign: 'question', tone: 'wait' },
  skipped: { sign: 'dash', tone: 'idle' },
  rolling_back: { sign: 'back', tone: 'back' },
  rolled_back: { sign: 'back', tone: 'back' },
  // channels
  channel_on: { sign: 'running', tone: 'good' },
  channel_paused: { sign: 'paused', tone: 'wait' },
  channel_halted: { sign: 'failed', tone: 'bad' },
  // steps
  queued: { sign: 'dot', tone: 'idle' },
  waiting: { sign: 'clock', tone: 'wait' },
  rejected: { sign: 'failed', tone: 'wait' },
  confirmed: { sign: 'done', tone: 'good' },
  timed_out: { sign: 'clock', tone: 'bad' },
  unreached: { sign: 'question', tone: 'wait' },
  ineligible: { sign: 'dash', tone: 'idle' },
  canceled: { sign: 'dash', tone: 'idle' },
  superseded: { sign: 'right', tone: 'idle' },
  noop: { sign: 'dash', tone: 'idle' },
  removed: { sign: 'dash', tone: 'idle' },
  rollback_failed: { sign: 'failed', tone: 'bad' },
  held: { sign: 'paused', tone: 'wait' },
}

/** Steps that are on their way to an end. */
const UNDER_WAY: Look = { sign: 'half', tone: 'busy' }

const look = (state: string): Look => LOOKS[state] ?? UNDER_WAY

export const toneOf = (state: string): string => look(state).tone

export const stateIcon = (state: string): Described => icon(look(state).sign)

/** The state as a small label with its sign. */
export function badge(state: string, text = words(state)): Described {
  return h('span', { class: `badge ${look(state).tone}`, 'data-state': state }, stateIcon(state), text)
}

/** The state in running text: sign and word. */
export function stateText(state: string): Described {
  return h('span', { class: `state ${look(state).tone}` }, stateIcon(state), words(state))
}

export const ENDED = new Set(['completed', 'stopped', 'rolled_back', 'failed', 'denied'])
