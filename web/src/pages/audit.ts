// SPDX-License-Identifier: Apache-2.0
// The audit trail, the newest first, as it grows. The filters are in the address.

import { api, type EventFilter } from '../base/api'
import { byId, h, show, type Described } from '../base/dom'
import { ago, clock, count } from '../base/format'
import { listen, once } from '../base/live'
import type { AuditHead, Event } from '../base/types'
import { empty, loading, table } from '../parts/table'
import { eventIcon, eventSentence, subjectLink } from '../parts/timeline'

const GROUPS = ['rollout', 'stage', 'gate', 'version', 'release', 'module', 'artifact', 'device', 'devices', 'token', 'server']
const FIELDS: [keyof EventFilter, string, string][] = [['subject', 'About', 'autumn'], ['actor', 'By', 'admin']]
const PAGE = 100

function address(filter: EventFilter): string {
  const set = Object.entries(filter).filter(([, value]) => value)
  return '#/audit' + (set.length > 0 ? '?' + set.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&') : '')
}

const matches = (e: Event, f: EventFilter): boolean =>
  (!f.subject || e.subject === f.subject) && (!f.actor || e.actor === f.actor) && (!f.kind || e.kind === f.kind || e.kind.startsWith(`${f.kind}.`))

function row(e: Event): Described {
  return h('tr', { key: `${e.seq}` },
    h('td', { class: 'number quiet' }, String(e.seq)), h('td', { class: 'time' }, h('time', { datetime: e.at, title: e.at }, clock(e.at))),
    h('td', {}, h('a', { href: address({ actor: e.actor }) }, e.actor)), h('td', {}, h('span', { class: 'kind' }, eventIcon(e), e.kind)),
    h('td', {}, subjectLink(e)), h('td', { class: 'said' }, eventSentence(e)))
}

function form(filter: EventFilter, go: (f: EventFilter) => void): Described {
  const value = (key: string) => (byId(`filter-${key}`) as HTMLInputElement).value.trim()
  return h('form', {
    class: 'filter-form', role: 'search',
    onsubmit: (event) => (event.preventDefault(), go({ kind: value('kind'), subject: value('subject'), actor: value('actor') })),
  },
  h('label', {}, 'Kind', h('select', { id: 'filter-kind', value: filter.kind ?? '', onchange: () => go({ ...filter, kind: value('kind') }) },
    h('option', { value: '' }, 'every kind'), [...new Set([...GROUPS, filter.kind ?? ''])].filter(Boolean).map((g) => h('option', { value: g, key: g }, g)))),
  FIELDS.map(([key, label, example]) => h('label', { key }, label, h('input', { id: `filter-${key}`, value: filter[key] ?? '', placeholder: example, spellcheck: 'false', autocapitalize: 'off' }))),
  h('button', { type: 'submit', class: 'main' }, 'Filter'))
}

function seal(head: AuditHead | null): Described | null {
  return head && h('p', { class: 'quiet' }, `The chain stands at ${count(head.head.signed.seq)}, signed `, ago(new Date(head.head.signed.at).toISOString()),
    head.checkpoint && ` · pruned up to ${count(head.checkpoint.signed.seq)}`, ' · verify it with ', h('code', {}, 'fleetctl audit verify'))
}

export function auditPage(page: Element, filter: EventFilter, signal: AbortSignal): void {
  let events: Event[] | null = null
  let next: string | null = null
  let head: AuditHead | null = null

  function draw(): void {
    show(page, h('h1', {}, 'Audit trail'), seal(head), form(filter, (f) => (location.hash = address(f))),
      events === null ? loading()
        : events.length > 0 ? table('Events', ['#No', 'When', 'By', 'Kind', 'About', 'What'], events.map(row))
          : next === null ? empty('No event matches.', h('a', { href: address({}) }, 'All events')) : null,
      events !== null && next !== null && h('p', { class: 'more' }, h('button', { onclick: () => load() }, 'Older')))
  }
  /** A page may be short, or empty, and still have a next one: read on until there is something to see. */
  function load(): void {
    once(signal, async () => {
      let got: Event[] = []
      do {
        const answer = await api.events({ ...filter, order: 'newest', limit: PAGE, cursor: next ?? '' }, signal)
        got = got.concat(answer.items)
        next = answer.next
      } while (next !== null && got.length < PAGE / 2)
      const known = new Set((events ?? []).map((e) => e.seq))
      events = [...(events ?? []), ...got.filter((e) => !known.has(e.seq))]
      draw()
    })
  }
  draw()
  load()
  once(signal, async () => ((head = await api.auditHead(signal)), draw()))
  listen(signal, (e) => {
    if (!matches(e, filter) || events === null || events.some((known) => known.seq === e.seq)) return
    events = [e, ...events]
    draw()
  })
}
