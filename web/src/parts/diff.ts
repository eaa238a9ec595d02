// SPDX-License-Identifier: Apache-2.0
// Two plans side by side: only what differs.

import { api } from '../base/api'
import { h, type Child, type Described } from '../base/dom'
import { some } from '../base/format'
import { sentence } from '../base/notice'
import type { PlanDiff } from '../base/types'
import { table } from './table'

/** A value for people: texts as they are, all else as JSON. */
const value = (v: unknown): Child => (v === null || v === undefined || v === '' ? '-' : typeof v === 'string' ? v : h('code', {}, JSON.stringify(v)))

function differences(name: string, other: string, d: PlanDiff): Child {
  if (d.same) return h('p', {}, `The plans of ${name} and ${other} are the same.`)
  const m = d.members
  return [
    table('Differences', ['What', name, other], d.changes.map((c) => h('tr', { key: c.what }, h('th', { scope: 'row' }, c.what), h('td', { class: 'said' }, value(c.a)), h('td', { class: 'said' }, value(c.b))))),
    h('p', { class: 'quiet' }, `${some(m.same_wave, 'device')} in the same wave, ${m.other_wave} in another; ${m.only_a} in ${name} alone, ${m.only_b} in ${other} alone.`),
  ]
}

export interface Comparing {
  others: string[]
  other: string
  diff: PlanDiff | null
  why: string
}
export const comparing = (): Comparing => ({ others: [], other: '', diff: null, why: '' })

/** A choice of other plans, and the differences from the one that was chosen. */
export function diffView(name: string, c: Comparing, signal: AbortSignal, draw: () => void): Described {
  const choose = async (other: string): Promise<void> => {
    Object.assign(c, { other, diff: null, why: '' })
    try {
      if (other) c.diff = await api.planDiff(name, other, signal)
    } catch (error) {
      c.why = sentence(error)
    }
    if (!signal.aborted) draw()
  }
  const fill = async (): Promise<void> => {
    if (c.others.length > 0) return
    const { items } = await api.rollouts('', signal)
    c.others = items.filter((r) => r.plan_digest && r.name !== name).map((r) => r.name)
    draw()
  }
  return h('details', { class: 'compare', ontoggle: () => void fill() }, h('summary', {}, 'Compare with another plan'),
    h('label', {}, 'Plan of rollout', h('select', { onchange: (e) => void choose((e.target as HTMLSelectElement).value) },
      h('option', { value: '' }, 'choose one'), c.others.map((o) => h('option', { value: o, key: o }, o)))),
    c.why && h('p', { class: 'bad', role: 'alert' }, c.why), c.diff && differences(name, c.other, c.diff))
}
