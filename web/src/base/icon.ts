// SPDX-License-Identifier: Apache-2.0
// Small signs, drawn on 16 x 16. A state is told by its shape as well as by its colour.

import { h, type Described } from './dom'

/** Strokes; `fill:` before a path fills it. */
const PATHS: Record<string, string[]> = {
  done: ['M3 8.5 6.5 12 13 4.5'],
  failed: ['M4 4l8 8M12 4l-8 8'],
  running: ['fill:M5 3.2v9.6L12.8 8z'],
  paused: ['M5.5 3.5v9M10.5 3.5v9'],
  stopped: ['fill:M4 4h8v8H4z'],
  back: ['M6 3.5 2.5 7 6 10.5M2.5 7H10a3.5 3.5 0 0 1 0 6H8'],
  clock: ['M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2', 'M8 5v3.2l2.2 1.4'],
  person: ['M8 2.5a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 0 1 0-5.2', 'M2.8 13.5c.6-2.6 2.6-3.9 5.2-3.9s4.6 1.3 5.2 3.9'],
  question: ['M5.4 5.8C5.5 4.2 6.6 3.2 8.1 3.2c1.6 0 2.7 1 2.7 2.4 0 1.9-2.7 2.2-2.7 4.2', 'M8 12.6v.2'],
  ring: ['M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3'],
  half: ['M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3', 'fill:M8 3a5 5 0 0 1 0 10z'],
  dot: ['fill:M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6'],
  dash: ['M4 8h8'],
  close: ['M4.5 4.5l7 7M11.5 4.5l-7 7'],
  warning: ['M8 2.6 14 13H2z', 'M8 6.6v3M8 11.2v.2'],
  right: ['M6 3.5 10.5 8 6 12.5'],
  search: ['M7 2.8a4.2 4.2 0 1 1 0 8.4 4.2 4.2 0 0 1 0-8.4', 'M10.2 10.2 13.5 13.5'],
  snow: ['M8 2v12M2.8 5l10.4 6M13.2 5 2.8 11'],
}

/** A sign; it says nothing to a screen reader, the text beside it does. */
export function icon(name: string): Described {
  return h('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', key: name },
    (PATHS[name] ?? PATHS['dot'] ?? []).map((d) =>
      d.startsWith('fill:') ? h('path', { class: 'solid', d: d.slice(5) }) : h('path', { d })))
}
