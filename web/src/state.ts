// SPDX-License-Identifier: Apache-2.0
// How states look: never by colour alone.

import { h } from './dom'
import { words } from './format'

const LOOKS: Record<string, { glyph: string; tone: string }> = {
  draft: { glyph: '○', tone: 'idle' },
  planning: { glyph: '◌', tone: 'busy' },
  waiting_approval: { glyph: '?', tone: 'wait' },
  denied: { glyph: '✕', tone: 'bad' },
  ready: { glyph: '○', tone: 'wait' },
  scheduled: { glyph: '◷', tone: 'wait' },
  starting: { glyph: '▷', tone: 'busy' },
  running: { glyph: '▶', tone: 'busy' },
  soaking: { glyph: '◔', tone: 'busy' },
  paused: { glyph: '❚❚', tone: 'wait' },
  stopping: { glyph: '◼', tone: 'wait' },
  stopped: { glyph: '◼', tone: 'bad' },
  rolling_back: { glyph: '↩', tone: 'wait' },
  rolled_back: { glyph: '↩', tone: 'back' },
  completed: { glyph: '✓', tone: 'good' },
  succeeded: { glyph: '✓', tone: 'good' },
  failed: { glyph: '✕', tone: 'bad' },
  inconclusive: { glyph: '?', tone: 'wait' },
  pending: { glyph: '·', tone: 'idle' },
  skipped: { glyph: '–', tone: 'idle' },
}

export function toneOf(state: string): string {
  return LOOKS[state]?.tone ?? 'idle'
}

/** The state as a small label with its sign. */
export function badge(state: string): HTMLElement {
  const look = LOOKS[state] ?? { glyph: '·', tone: 'idle' }
  return h('span', { class: `badge ${look.tone}` }, h('i', { 'aria-hidden': 'true' }, look.glyph), words(state))
}
