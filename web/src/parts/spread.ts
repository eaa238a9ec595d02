// SPDX-License-Identifier: Apache-2.0
// How the strategies of a simulation spread a release: the share of devices that are through, over time.

import { type Described } from '../base/dom'
import { percent, roughly } from '../base/format'
import type { SimulationResult } from '../base/types'
import { LOOKS, plot, type Line } from './plot'

const TICKS = [0, 0.25, 0.5, 0.75, 1]

/** Seconds at which each part of the devices was through, as far as most runs came: there a line ends. */
const reached = (r: SimulationResult): number[] => r.curve.flatMap((s) => (s === null ? [] : [Math.max(s, 1)]))

export function spread(label: string, results: SimulationResult[]): Described | false {
  const all = results.flatMap(reached)
  if (all.length === 0) return false
  const from = Math.min(...all) / 1.5
  const to = Math.max(...all)
  const place = (s: number) => Math.log(s / from) / Math.log(to / from)
  const lines = results.map((r, i): Line => {
    const at = reached(r)
    const none = at.length === 0 ? [0] : [0, 0] // until the first part is through
    return {
      name: r.strategy, look: LOOKS[i % LOOKS.length] ?? 'a',
      values: [...none, ...at.map((_, k) => (k + 1) / r.curve.length)], places: [0, ...at.slice(0, 1).map(place), ...at.map(place)],
    }
  })
  return plot({
    label, x: TICKS.map((t) => roughly(from * (to / from) ** t)), xTitle: 'after the start (logarithmic)',
    top: 1, ticks: TICKS, text: (y) => percent(y), lines,
  })
}
