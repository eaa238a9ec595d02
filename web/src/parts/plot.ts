// SPDX-License-Identifier: Apache-2.0
// A small line plot, drawn as SVG. Lines differ by dashes and marks as well as by colour, and are
// named at their ends.

import { h, type Child, type Described } from '../base/dom'

export interface Line {
  name: string
  look: 'a' | 'b' | 'c' | 'd'
  values: number[]
}

interface Plot {
  label: string
  x: string[]
  xTitle: string
  top: number
  ticks: number[]
  text: (y: number) => string
  lines: Line[]
}

const WIDTH = 640
const HEIGHT = 220
const LEFT = 52
const RIGHT = 150
const TOP = 14
const BOTTOM = 40

const MARKS: Record<Line['look'], (x: number, y: number) => string> = {
  a: (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`,
  b: (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
  c: (x, y) => `M${x} ${y - 4}l4 7h-8z`,
  d: (x, y) => `M${x} ${y - 4}l4 4l-4 4l-4-4z`,
}

export function plot(p: Plot): Described {
  const xAt = (i: number) => LEFT + ((WIDTH - LEFT - RIGHT) * i) / Math.max(p.x.length - 1, 1)
  const yAt = (v: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(v, p.top) / p.top)
  const text = (x: number, y: number, look: string, content: Child) => h('text', { x, y, class: look }, content)
  const ends = p.lines.map((l) => ({ l, y: yAt(l.values[l.values.length - 1] ?? 0) })).sort((a, b) => a.y - b.y)
  // names do not cover each other, nor the axis
  ends.forEach((e, i) => (e.y = Math.max(e.y, (ends[i - 1]?.y ?? -99) + 15)))
  ends.forEach((e, i) => (e.y = Math.min(e.y, HEIGHT - BOTTOM - 4 - 15 * (ends.length - 1 - i))))
  return h('figure', { class: 'plot card' }, h('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': p.label },
    p.ticks.map((t) => h('g', {}, h('line', { class: 'rule', x1: LEFT, x2: WIDTH - RIGHT, y1: yAt(t), y2: yAt(t) }), text(LEFT - 8, yAt(t) + 4, 'tick y', p.text(t)))),
    p.x.map((x, i) => text(xAt(i), HEIGHT - BOTTOM + 18, 'tick x', x)),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, 'tick x', p.xTitle),
    p.lines.map((l) => h('g', { class: `line ${l.look}` },
      h('polyline', { points: l.values.map((v, i) => `${xAt(i)},${yAt(v)}`).join(' ') }),
      h('path', { d: l.values.map((v, i) => MARKS[l.look](xAt(i), yAt(v))).join('') }))),
    ends.map(({ l, y }) => text(WIDTH - RIGHT + 10, y + 4, `name ${l.look}`, l.name))))
}
