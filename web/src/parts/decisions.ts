// SPDX-License-Identifier: Apache-2.0
// What gates decided, with the numbers that led to it.

import { h, type Child, type Described } from '../base/dom'
import { clock, count, words } from '../base/format'
import type { Decision, Vote } from '../base/types'
import { stateText } from './state'
import { table } from './table'

const KINDS: Record<string, string> = {
  success: 'Success threshold',
  error: 'Error threshold',
  stop: 'Stop criteria',
  sprt: 'Sequential test',
  bayes: 'Bayesian',
  external: 'Verdict',
  manual: 'A person',
}

const percentOf = (x: number): string => `${(100 * Math.min(1, Math.max(0, x))).toFixed(2)}%`

/** A value between the end where the gate passes (left) and the end where it fails (right). */
function scale(value: number, passes: number, fails: number, low: number, high: number, what: string): Described {
  const at = (x: number) => (x - low) / (high - low)
  const text = `${what} ${value.toFixed(3)}; passes at ${passes.toFixed(3)}, fails at ${fails.toFixed(3)}`
  return h('div', { class: 'scale' },
    h('svg', { role: 'img', 'aria-label': text },
      h('line', { x1: '0%', x2: '100%', y1: 7, y2: 7, class: 'way' }),
      h('rect', { x: '0%', width: percentOf(at(passes)), y: 3, height: 8, class: 'pass' }),
      h('rect', { x: percentOf(at(fails)), width: percentOf(1 - at(fails)), y: 3, height: 8, class: 'fail' }),
      h('circle', { cx: percentOf(at(value)), cy: 7, r: 4.5, class: 'value' })),
    h('small', {}, text))
}

/** The server's own words, where no vote says the same. */
function because(d: Decision): string {
  return d.numbers.votes.some((v) => v.text && d.text.includes(v.text)) ? '' : d.text
}

function voteScale(v: Vote): Child {
  if (v.log_likelihood_ratio !== undefined && v.accepts_at !== undefined && v.rejects_at !== undefined)
    return scale(v.log_likelihood_ratio, v.accepts_at, v.rejects_at, Math.min(1.3 * v.accepts_at, v.log_likelihood_ratio), Math.max(1.3 * v.rejects_at, v.log_likelihood_ratio), 'log-likelihood ratio')
  if (v.probability_above_limit !== undefined && v.passes_at !== undefined && v.fails_at !== undefined)
    return scale(v.probability_above_limit, v.passes_at, v.fails_at, 0, 1, 'probability that too many fail')
  return null
}

function vote(v: Vote): Described {
  const drawn = voteScale(v)
  return h('li', { key: v.kind }, h('b', {}, KINDS[v.kind] ?? words(v.kind)), ` ${v.decision}`, !drawn && v.text && h('span', { class: 'quiet' }, `: ${v.text}`), drawn)
}

function numbers(d: Decision): string {
  const n = d.numbers
  const carried = (n.carried_successes ?? 0) + (n.carried_failures ?? 0)
  return [
    `${count(n.successes)} succeeded, ${count(n.failures)} failed`,
    carried > 0 && `${count(n.carried_successes ?? 0)} and ${count(n.carried_failures ?? 0)} of them carried from earlier waves`,
    n.timed_out > 0 && `${count(n.timed_out)} timed out`,
    n.rejected > 0 && `${count(n.rejected)} rejected`,
    n.open > 0 && `${count(n.open)} still open`,
    n.silent > 0 && `${count(n.silent)} without an outcome`,
  ].filter(Boolean).join('; ')
}

export function decisionsTable(decisions: Decision[], link: (stage: string) => string): Described {
  return table('Decisions of the gates', ['Stage', 'When', 'Decision', 'Numbers', 'Because'], decisions.map((d) => h('tr', { key: `${d.id}` },
    h('th', { scope: 'row' }, h('a', { href: link(d.stage) }, d.stage)), h('td', { class: 'time' }, clock(d.at)), h('td', {}, stateText(d.state)),
    h('td', { class: 'numbers-said' }, numbers(d)), h('td', { class: 'said' }, because(d) && h('p', {}, because(d)), h('ul', { class: 'votes' }, d.numbers.votes.filter((v) => v.text !== '').map(vote))))), 'decisions')
}
