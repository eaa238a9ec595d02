// SPDX-License-Identifier: Apache-2.0
// Devices, found by RSQL.

import { api, type Device } from './api'
import { h, notice, show } from './dom'
import { ago } from './format'

function pairs(values: Record<string, unknown>): string {
  return Object.entries(values).map(([key, value]) => `${key}=${String(value)}`).join('  ')
}

function row(d: Device): HTMLElement {
  return h('tr', {}, h('th', { scope: 'row' }, d.id), h('td', {}, d.tier),
    h('td', {}, d.installed.map((i) => h('span', { class: 'chip' }, `${i.module} ${i.version}`))),
    h('td', { class: 'quiet' }, pairs(d.attributes)), h('td', {}, pairs(d.labels)), h('td', {}, ago(d.last_seen)))
}

export function devicesPage(page: Element, signal: AbortSignal): void {
  const field = h('input', { type: 'search', 'aria-label': 'RSQL', placeholder: 'attribute.region==eu;installed.app<2.0.0', spellcheck: 'false' }) as HTMLInputElement
  const rows = h('tbody')
  const more = h('button', {}, 'More')
  let cursor: string | null = ''

  async function load(fresh: boolean): Promise<void> {
    try {
      const found = await api.devices(field.value.trim(), fresh ? '' : (cursor ?? ''), signal)
      if (fresh) rows.replaceChildren()
      rows.append(...found.items.map(row))
      cursor = found.next
      more.hidden = cursor === null
      if (rows.childElementCount === 0) show(rows, h('tr', {}, h('td', { colspan: 6, class: 'quiet' }, 'No device matches.')))
    } catch (error) {
      if (!signal.aborted) notice(error instanceof Error ? error.message : String(error), 'bad')
    }
  }
  more.addEventListener('click', () => void load(false))
  show(page, h('h1', {}, 'Devices'),
    h('form', { class: 'search', onsubmit: (e) => (e.preventDefault(), void load(true)) }, field, h('button', { type: 'submit', class: 'main' }, 'Search')),
    h('div', { class: 'scroll card' }, h('table', { class: 'list' },
      h('thead', {}, h('tr', {}, ['Device', 'Tier', 'Installed', 'Attributes', 'Labels', 'Last seen'].map((t) => h('th', { scope: 'col' }, t)))), rows)), more)
  void load(true)
}
