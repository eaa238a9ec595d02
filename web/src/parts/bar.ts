// SPDX-License-Identifier: Apache-2.0
// How far the devices of a stage, a wave or a rollout are, as one bar.

import { h, type Described } from '../base/dom'
import { count } from '../base/format'
import type { Figures, Stage } from '../base/types'

interface Part {
  name: string
  look: string
  states: string[]
}

/** In drawing order. Each look has a texture of its own beside its colour. */
export const PARTS: Part[] = [
  { name: 'confirmed', look: 'confirmed', states: ['confirmed'] },
  { name: 'failed', look: 'failed', states: ['failed', 'timed_out', 'rollback_failed'] },
  { name: 'taken back', look: 'back', states: ['rolled_back'] },
  { name: 'waiting', look: 'waiting', states: ['waiting', 'unreached', 'rejected'] },
  { name: 'under way', look: 'busy', states: ['offered', 'downloading', 'downloaded', 'installing', 'rebooting', 'installed'] },
]
/** Not targets: they count nowhere. */
const APART = ['noop', 'ineligible', 'superseded', 'canceled', 'removed']

const sum = (steps: Record<string, number>, states: string[]): number => states.reduce((n, state) => n + (steps[state] ?? 0), 0)

export const failedSteps = (steps: Record<string, number>): number => sum(steps, ['failed', 'timed_out', 'rollback_failed'])
export const apartSteps = (steps: Record<string, number>): number => sum(steps, APART)

export interface Share {
  name: string
  look: string
  n: number
}

/** A bar of these shares out of `total`; what is missing stays empty. */
export function bar(shares: Share[], total: number): Described {
  const there = shares.filter((s) => s.n > 0)
  const rest = Math.max(total - there.reduce((n, s) => n + s.n, 0), 0)
  const label = there.map((s) => `${count(s.n)} ${s.name}`).join(', ') || 'nothing yet'
  return h('div', { class: 'bar', role: 'img', 'aria-label': label, title: label },
    shares.map((s) => h('i', { class: s.look, key: s.look, grow: s.n })), h('i', { class: 'rest', key: 'rest', grow: total === 0 ? 1 : rest }))
}

/** Who is held keeps what he has: on the way back for good, forward until his stratum is released. */
const holds = (stage: Stage): string => (['rolling_back', 'rolled_back'].includes(stage.state) ? 'back' : 'waiting')

export function stageBar(stage: Stage): Described {
  const held = stage.steps['held'] ?? 0
  return bar(PARTS.map((p) => ({ name: p.name, look: p.look, n: sum(stage.steps, p.states) + (p.look === holds(stage) ? held : 0) })), stage.targets)
}

/** The whole rollout, each device once. */
export function figuresBar(f: Figures): Described {
  return bar([
    { name: 'confirmed', look: 'confirmed', n: f.confirmed },
    { name: 'failed', look: 'failed', n: f.failed + f.timed_out },
    { name: 'taken back', look: 'back', n: f.rolled_back_by_server },
  ], f.targets)
}

export function legend(): Described {
  return h('ul', { class: 'legend', 'aria-label': 'Colours and textures of the bars' },
    [...PARTS, { name: 'to come', look: 'rest' }].map((p) => h('li', {}, h('i', { class: `swatch ${p.look}` }), p.name)))
}
