// SPDX-License-Identifier: Apache-2.0
// A small line plot, drawn as SVG. Lines differ by dashes and marks as well as by colour, and are
// named at their ends, on a narrow window below.

import { h, type Child, type Described } from '../base/dom'

export interface Line {
  name: string
  look: 'a' | 'b' | 'c' | 'd' | 'e' | 'f' | 'g' | 'h'
  values: number[]
  places?: number[] // of the values on the axis, 0 to 1; without them they are spread evenly, each with a mark
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

const HEIGHT = 220
const LEFT = 52
const TOP = 14
const BOTTOM = 40
const SAMPLE = 16 // of a line, before its name
const NARROW = 700 // of the window

type Mark = (x: number, y: number) => string
const circle: Mark = (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`
const square: Mark = (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`
const triangle: Mark = (x, y) => `M${x} ${y - 4}l4 7h-8z`
const diamond: Mark = (x, y) => `M${x} ${y - 4}l4 4l-4 4l-4-4z`
const MARKS: Record<Line['look'], Mark> = { a: circle, b: square, c: triangle, d: diamond, e: circle, f: square, g: triangle, h: diamond }

export const LOOKS = Object.keys(MARKS) as Line['look'][]

/** A piece of a line with its mark. */
function sample(look: Line['look'], x: number, y: number): Described {
  return h('g', { class: `line ${look}` }, h('polyline', { points: `${x},${y} ${x + SAMPLE},${y}` }), h('path', { d: MARKS[look](x + SAMPLE / 2, y) }))
}

function legend(lines: Line[]): Described {
  return h('ul', { class: 'legend' }, lines.map((l) => h('li', { class: `name ${l.look}` },
    h('svg', { class: 'sample', viewBox: `0 0 ${SAMPLE + 2} 12`, 'aria-hidden': 'true' }, sample(l.look, 1, 6)), l.name)))
}

export function plot(p: Plot): Described {
  const narrow = innerWidth < NARROW
  const width = narrow ? 340 : 640
  const right = narrow ? 26 : 160
  const at = (place: number) => LEFT + (width - LEFT - right) * place
  const xAt = (i: number) => at(i / Math.max(p.x.length - 1, 1))
  const yAt = (v: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(v, p.top) / p.top)
  const text = (x: number, y: number, look: string, content: Child) => h('text', { x, y, class: look }, content)
  const xOf = (l: Line, i: number) => l.places ? at(l.places[i] ?? 0) : xAt(i)
  // of many values only the last one has a mark
  const marked = (l: Line) => l.values.map((_, i) => i).filter((i) => !l.places || i === l.values.length - 1)
  const ends = p.lines.map((l) => ({ l, y: yAt(l.values[l.values.length - 1] ?? 0) })).sort((a, b) => a.y - b.y)
  // names do not cover each other, nor the axis
  ends.forEach((e, i) => (e.y = Math.max(e.y, (ends[i - 1]?.y ?? -99) + 15)))
  ends.forEach((e, i) => (e.y = Math.min(e.y, HEIGHT - BOTTOM - 4 - 15 * (ends.length - 1 - i))))
  return h('figure', { class: 'plot card' }, h('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': p.label },
    p.ticks.map((t) => h('g', {}, h('line', { class: 'rule', x1: LEFT, x2: width - right, y1: yAt(t), y2: yAt(t) }), text(LEFT - 8, yAt(t) + 4, 'tick y', p.text(t)))),
    p.x.map((x, i) => text(xAt(i), HEIGHT - BOTTOM + 18, 'tick x', x)),
    text((LEFT + width - right) / 2, HEIGHT - 5, 'tick x', p.xTitle),
    p.lines.map((l) => h('g', { class: `line ${l.look}` },
      h('polyline', { points: l.values.map((v, i) => `${xOf(l, i)},${yAt(v)}`).join(' ') }),
      h('path', { d: marked(l).map((i) => MARKS[l.look](xOf(l, i), yAt(l.values[i] ?? 0))).join('') }))),
    !narrow && ends.map(({ l, y }) => h('g', {}, sample(l.look, width - right + 10, y), text(width - right + SAMPLE + 16, y + 4, `name ${l.look}`, l.name)))),
  narrow && legend(p.lines))
}
