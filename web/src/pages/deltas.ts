// SPDX-License-Identifier: Apache-2.0
// Deltas: what they are and what they saved.

import { api } from '../base/api'
import { h, show, type Described } from '../base/dom'
import { bytes, count, percent, short, words } from '../base/format'
import { everyWhile } from '../base/live'
import type { Delta, Deltas } from '../base/types'
import { bar } from '../parts/bar'
import { empty, loading, table } from '../parts/table'

const digest = (hex: string | null): Described => (hex === null ? h('span', { class: 'quiet' }, 'nothing (full)') : h('code', { title: hex }, short(hex)))

function row(d: Delta): Described {
  const ready = d.state === 'ready'
  return h('tr', { key: `${d.from} ${d.to} ${d.codec}` },
    h('td', {}, digest(d.from)), h('td', {}, digest(d.to)), h('td', {}, d.codec), h('td', {}, words(d.state)),
    h('td', { class: 'number' }, ready ? bytes(d.size) : '-'), h('td', { class: 'number' }, bytes(d.full_size)),
    h('td', { class: 'size' }, ready && bar([{ name: 'bytes of the delta', look: 'busy', n: d.size }], d.full_size)),
    h('td', { class: 'number' }, ready ? percent(d.size / Math.max(d.full_size, 1)) : '-'),
    h('td', { class: 'number' }, count(d.uses)), h('td', { class: 'number' }, bytes(d.saved)), h('td', { class: 'number' }, `${count(d.built_ms)} ms`))
}

function tiles(d: Deltas): Described {
  const s = d.summary
  const tile = (name: string, value: string, note: string) => h('div', { class: 'tile', key: name }, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('small', {}, note)))
  return h('dl', { class: 'tiles' },
    tile('Saved', bytes(s['saved'] ?? 0), `in ${count(s['uses'] ?? 0)} downloads`),
    tile('Ready', count(s['ready'] ?? 0), `${bytes(s['bytes'] ?? 0)} on disk`),
    tile('Not smaller', count(s['useless'] ?? 0), 'the full artifact goes instead'),
    tile('Failed', count(s['failed'] ?? 0), 'over their limits, or could not be decoded'),
    tile('In work', count((s['building'] ?? 0) + (s['waiting'] ?? 0) + (s['warming'] ?? 0)), `${count(s['building'] ?? 0)} being built`))
}

export function deltasPage(page: Element, signal: AbortSignal): void {
  let cursors = ['']
  show(page, h('h1', {}, 'Deltas'), loading())
  everyWhile(signal, 3000, async () => {
    const pages = await Promise.all(cursors.map((c) => api.deltas(c, signal)))
    const first = pages[0]
    const next = pages.at(-1)?.next ?? null
    const rows = pages.flatMap((p) => p.items)
    if (!first) return
    show(page, h('h1', {}, 'Deltas'), tiles(first),
      rows.length === 0 ? empty('No delta yet.', 'They are built when a plan needs them, or when a device asks for one.')
        : table('Deltas', ['From', 'To', 'Codec', 'State', '#Size', '#Full', '', '#Share', '#Uses', '#Saved', '#Built in'], rows.map(row)),
      next !== null && h('button', { onclick: () => (cursors = [...cursors, next]) }, 'More'))
  })
}
