// SPDX-License-Identifier: Apache-2.0
// Deltas: what they saved, what they cost, what is being built.

import { api } from '../base/api'
import { h, show, type Described } from '../base/dom'
import { bytes, count, percent, seconds, short, some, words } from '../base/format'
import { everyWhile } from '../base/live'
import type { Delta, DeltaQueue, DeltaStats } from '../base/types'
import { bar } from '../parts/bar'
import { empty, loading, table } from '../parts/table'

const QUEUE_SHOWN = 8

/** Digest -> "module version", asked for once. */
const names = new Map<string, string>()

async function learn(digests: (string | null)[], signal: AbortSignal): Promise<void> {
  const fresh = [...new Set(digests)].filter((d): d is string => d !== null && !names.has(d)).slice(0, 100)
  await Promise.all(fresh.map(async (digest) => {
    const used = await api.artifact(digest, signal).then((a) => a.used_by[0], () => undefined)
    names.set(digest, used ? `${used.module} ${used.version}` : short(digest))
  }))
}

const artifact = (hex: string | null): Described =>
  hex === null ? h('span', { class: 'quiet' }, 'nothing') : h('span', { title: hex }, names.get(hex) ?? short(hex))

function row(d: Delta): Described {
  const ready = d.state === 'ready'
  return h('tr', { key: `${d.from} ${d.to} ${d.codec} ${d.level}` },
    h('th', { scope: 'row' }, artifact(d.to)), h('td', {}, artifact(d.from)), h('td', {}, `${d.codec} `, h('small', {}, String(d.level))),
    h('td', {}, words(d.state)),
    h('td', { class: 'number' }, ready ? bytes(d.size) : '-'), h('td', { class: 'number' }, bytes(d.full_size)),
    h('td', { class: 'size' }, ready && bar([{ name: 'of the full size', look: 'busy', n: d.size }], d.full_size)),
    h('td', { class: 'number' }, ready ? percent(d.size / Math.max(d.full_size, 1)) : '-'),
    h('td', { class: 'number' }, count(d.uses)), h('td', { class: 'number' }, bytes(d.saved)), h('td', { class: 'number' }, seconds(d.built_ms / 1000)))
}

function tiles(s: DeltaStats): Described {
  const n = s.summary
  const waiting = (n['waiting'] ?? 0) + (n['warming'] ?? 0)
  const tile = (name: string, value: string, note: string, tone = '') =>
    h('div', { class: `tile ${tone}`, key: name }, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('small', {}, note)))
  return h('dl', { class: 'tiles' },
    tile('Saved', bytes(n['saved']), `in ${some(n['uses'] ?? 0, 'download')}`),
    tile('Ready', count(n['ready'] ?? 0), `${bytes(s.cache['bytes'])} of ${bytes(s.cache['limit'])} of the cache`),
    tile('Not smaller', count(n['useless'] ?? 0), 'the full artifact goes instead'),
    tile('Failed', count(n['failed'] ?? 0), 'over their limits; the full artifact goes', (n['failed'] ?? 0) > 0 ? 'bad' : ''),
    tile('Being built', count(n['building'] ?? 0), `${count(waiting)} wait, ${count(n['improving'] ?? 0)} to be improved`))
}

function codecs(s: DeltaStats): Described | false {
  return s.codecs.length > 0 && h('section', {}, h('h2', {}, 'By codec'), table('Deltas by codec', ['Codec', '#Level', '#Ready', '#Not smaller', '#Failed', '#On disk', '#Uses', '#Saved', '#Built in'],
    s.codecs.map((c) => h('tr', { key: `${c.codec} ${c.level}` }, h('th', { scope: 'row' }, c.codec), h('td', { class: 'number' }, String(c.level)),
      h('td', { class: 'number' }, count(c.ready)), h('td', { class: 'number' }, count(c.useless)), h('td', { class: 'number' }, count(c.failed)),
      h('td', { class: 'number' }, bytes(c.bytes)), h('td', { class: 'number' }, count(c.uses)), h('td', { class: 'number' }, bytes(c.saved)), h('td', { class: 'number' }, seconds((c.built_ms) / 1000))))))
}

const PLACES: Record<string, string> = { running: 'being built', asked: 'a device waits', warmed: 'a plan needs it', improved: 'to be made smaller' }

function queue(q: DeltaQueue): Described | false {
  const shown = q.items.slice(0, QUEUE_SHOWN)
  return shown.length > 0 && h('section', {}, h('h2', {}, 'In work ', h('small', {}, count(q.items.length))), table('Deltas in work', ['To', 'From', 'Why', 'Codecs', '#Devices', '#May save each'],
    shown.map((i, n) => h('tr', { key: `${i.from} ${i.to} ${i.place} ${n}` }, h('th', { scope: 'row' }, artifact(i.to)), h('td', {}, artifact(i.from)), h('td', {}, PLACES[i.place] ?? i.place),
      h('td', {}, i.tiers.join(', ')), h('td', { class: 'number' }, count(i.devices)), h('td', { class: 'number' }, bytes(i.gain))))))
}

export function deltasPage(page: Element, signal: AbortSignal): void {
  let cursors = ['']
  show(page, h('h1', {}, 'Deltas'), loading())
  everyWhile(signal, 2000, async () => {
    const [stats, work, ...pages] = await Promise.all([api.deltaStats(signal), api.deltaQueue(signal), ...cursors.map((c) => api.deltas(c, signal))])
    const rows = pages.flatMap((p) => p.items).sort((a, b) => b.saved - a.saved)
    const next = pages[pages.length - 1]?.next ?? null
    await learn([...rows, ...work.items.slice(0, QUEUE_SHOWN)].flatMap((d) => [d.from, d.to]), signal)
    show(page, h('h1', {}, 'Deltas'), tiles(stats), queue(work), codecs(stats),
      rows.length === 0 && work.items.length === 0 && empty('No delta yet.', 'They are built when a plan needs them, or when a device asks for one.'),
      rows.length > 0 && h('section', {}, h('h2', {}, 'Deltas'), table('Deltas', ['To', 'From', 'Codec', 'State', '#Size', '#Full', '', '#Share', '#Uses', '#Saved', '#Built in'], rows.map(row))),
      next !== null && h('p', { class: 'more' }, h('button', { onclick: () => (cursors = [...cursors, next]) }, 'More')))
  })
}
