// SPDX-License-Identifier: Apache-2.0
// Lists: a table that scrolls sideways where it must, and what stands there when it is empty.

import { h, type Child, type Described } from '../base/dom'

/** `rows` are tr. Titles that begin with # are of numbers. */
export function table(label: string, titles: string[], rows: Described[], kind = ''): Described {
  return h('div', { class: `scroll card ${kind}`, tabindex: 0, role: 'region', 'aria-label': label }, h('table', { class: 'list' },
    h('thead', {}, h('tr', {}, titles.map((t) => h('th', { scope: 'col', class: t.startsWith('#') ? 'number' : null }, t.replace('#', ''))))),
    h('tbody', {}, rows)))
}

/** Nothing is there: say so, and what to do next. */
export function empty(what: string, ...next: Child[]): Described {
  return h('div', { class: 'empty card' }, h('p', {}, what), next.length > 0 && h('p', { class: 'quiet' }, next))
}

export function chips(items: string[]): Described[] {
  return items.map((text) => h('span', { class: 'chip', key: text }, text))
}

export const loading = (): Described => h('p', { class: 'quiet', 'aria-busy': 'true' }, 'Loading…')
