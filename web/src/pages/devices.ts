// SPDX-License-Identifier: Apache-2.0
// Devices, found by RSQL. The selector is in the address, so that a list can be sent to somebody.

import { api } from '../base/api'
import { byId, h, show, type Described } from '../base/dom'
import { ago, count, some } from '../base/format'
import { icon } from '../base/icon'
import { once } from '../base/live'
import { sentence } from '../base/notice'
import type { Device } from '../base/types'
import { deviceLink } from '../parts/steps'
import { chips, empty, loading, table } from '../parts/table'

/** Selectors that have a meaning in this fleet, taken from a device of it. */
function examples(found: Device[] | null): string[] {
  const d = found?.[0]
  const attribute = d && Object.entries(d.attributes)[0]
  const installed = d?.installed[0]
  return [
    attribute ? `attribute.${attribute[0]}==${String(attribute[1])}` : 'attribute.region==eu',
    installed ? `installed.${installed.module}<=${installed.version}` : 'installed.app<2.0.0',
    'tier==gateway',
    'enrolled==false',
  ]
}

const address = (q: string): string => `#/devices${q ? `?q=${encodeURIComponent(q)}` : ''}`

export const pairs = (values: Device['attributes']): string[] => Object.entries(values).map(([key, value]) => `${key}=${String(value)}`)

function row(d: Device): Described {
  return h('tr', { key: d.id }, h('th', { scope: 'row' }, deviceLink(d.id), d.retired_at && h('small', {}, ' retired')),
    h('td', {}, d.gateway ? ['behind ', deviceLink(d.gateway)] : d.tier),
    h('td', {}, d.installed.length > 0 ? chips(d.installed.map((i) => `${i.module} ${i.version}`)) : h('span', { class: 'quiet' }, 'nothing')),
    h('td', {}, chips(pairs(d.attributes))), h('td', {}, chips(pairs(d.labels))),
    h('td', { class: 'time' }, d.enrolled ? ago(d.last_seen) : 'not enrolled'))
}

function nothing(q: string): Described {
  return q ? empty('No device matches.', h('a', { href: address('') }, 'All devices'))
    : empty('No device yet.', 'Make a token with ', h('code', {}, 'fleetctl token create line --role enroller'), ' and start ',
      h('code', {}, 'fleet-agent --token-file'), ' with it, or register many at once: ', h('code', {}, 'fleetctl device import FILE'))
}

export function devicesPage(page: Element, q: string, signal: AbortSignal): void {
  let found: Device[] | null = null
  let next: string | null = null
  let why = ''

  function draw(): void {
    show(page, h('h1', {}, 'Devices'),
      h('form', { class: 'search', role: 'search', onsubmit: (e) => (e.preventDefault(), go((byId('q') as HTMLInputElement).value.trim())) },
        h('input', { type: 'search', id: 'q', value: q, 'aria-label': 'Selector (RSQL)', placeholder: 'attribute.region==eu;installed.app<2.0.0', spellcheck: 'false', autocapitalize: 'off', 'aria-invalid': why ? 'true' : null, 'aria-describedby': 'why' }),
        h('button', { type: 'submit', class: 'main' }, icon('search'), 'Search')),
      h('p', { class: 'examples quiet' }, 'For example ', examples(found).map((e) => h('a', { href: address(e), class: 'chip', key: e }, e))),
      h('p', { id: 'why', class: 'bad', role: 'alert' }, why),
      !found && !why && loading(),
      found && (found.length === 0 ? nothing(q) : table('Devices', ['Device', 'Tier', 'Installed', 'Attributes', 'Labels', 'Seen'], found.map(row))),
      found && found.length > 0 && h('p', { class: 'more' }, h('span', { class: 'quiet' }, next === null ? `${some(found.length, 'device')}, that is all` : `${count(found.length)} shown`),
        next !== null && h('button', { onclick: () => load(next ?? '') }, 'More')))
  }
  function go(selector: string): void {
    if (address(selector) === location.hash) load('')
    else location.hash = address(selector)
  }
  function load(cursor: string): void {
    once(signal, async () => {
      try {
        const got = await api.devices(q, cursor, signal)
        found = cursor && found ? [...found, ...got.items] : got.items
        next = got.next
      } catch (error) {
        if (signal.aborted) return
        why = sentence(error)
      }
      draw()
    })
  }
  draw()
  load('')
}
