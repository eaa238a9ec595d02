// SPDX-License-Identifier: Apache-2.0
// Where events are sent to, and how that fares.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, clock, count, some } from '../base/format'
import { icon } from '../base/icon'
import { refresher } from '../base/live'
import { ask, told } from '../base/notice'
import type { Webhook } from '../base/types'
import { empty, loading, table } from '../parts/table'
import { showSecret } from './tokens'

async function create(refresh: () => void): Promise<void> {
  const form = await ask({
    title: 'New webhook', yes: 'Create',
    body: [
      h('label', {}, 'Name', h('input', { name: 'name', required: true, maxlength: 128, autocomplete: 'off' })),
      h('label', {}, 'Address', h('input', { name: 'url', type: 'url', required: true, placeholder: 'https://ci.example.com/fleet', autocomplete: 'off' })),
      h('label', {}, 'Kinds of events, with commas', h('input', { name: 'kinds', placeholder: 'all, or rollout.*, gate.decided', spellcheck: 'false', autocomplete: 'off' })),
      h('label', {}, 'Of devices only those that match (RSQL)', h('input', { name: 'selector', placeholder: 'all', spellcheck: 'false', autocomplete: 'off' })),
    ],
  })
  if (!form) return
  const text = (name: string) => String(form.get(name) ?? '').trim()
  const kinds = text('kinds').split(/[\s,]+/).filter(Boolean)
  await told(async () => {
    const made = await api.putWebhook(text('name'), { url: text('url'), kinds, ...(text('selector') && { selector: text('selector') }) })
    if (made.secret) await showSecret(`Webhook ${made.name}`, made.secret, 'The receiver verifies signatures with it.')
    return `webhook ${made.name} gets events from now on`
  })
  refresh()
}

async function remove(w: Webhook, refresh: () => void): Promise<void> {
  if (!await ask({ title: `Delete webhook ${w.name}?`, yes: 'Delete', grave: true, body: h('p', {}, 'What was not delivered yet is not delivered any more.') })) return
  await told(async () => (await api.deleteWebhook(w.name), `webhook ${w.name} is deleted`))
  refresh()
}

function health(w: Webhook): Child {
  if (!w.enabled) return h('span', { class: 'state idle' }, icon('paused'), 'off')
  if (w.failing_since) return [h('span', { class: 'state bad' }, icon('failed'), `failing since ${ago(w.failing_since).replace(' ago', '')}`), h('small', {}, ` ${w.last_error}${w.retry_at ? `; next try ${clock(w.retry_at)}` : ''}`)]
  return h('span', { class: 'state good' }, icon('done'), w.behind > 0 ? `${some(w.behind, 'event')} behind` : 'up to date')
}

function row(w: Webhook, admin: boolean, refresh: () => void): Described {
  const test = () => told(async () => (await api.webhookVerb(w.name, 'test'), `a test event is on its way to ${w.name}`))
  const toggle = () => told(async () => (await api.putWebhook(w.name, { url: w.url, kinds: w.kinds, ...(w.selector && { selector: w.selector }), enabled: !w.enabled }), `webhook ${w.name} is ${w.enabled ? 'off' : 'on'}`))
  return h('tr', { key: w.name }, h('th', { scope: 'row' }, w.name), h('td', { class: 'said' }, w.url),
    h('td', {}, w.kinds.length > 0 ? w.kinds.join(', ') : 'every kind', w.selector && [' ', h('code', {}, w.selector)]), h('td', { class: 'said' }, health(w)),
    h('td', { class: 'number' }, count(w.delivered)), h('td', { class: `number ${w.dead > 0 ? 'bad' : ''}` }, count(w.dead)),
    h('td', {}, admin && h('div', { class: 'verbs' },
      h('button', { 'aria-label': `Test ${w.name}`, onclick: () => void test().then(refresh) }, 'Test'),
      h('button', { 'aria-label': `Switch ${w.name} ${w.enabled ? 'off' : 'on'}`, onclick: () => void toggle().then(refresh) }, w.enabled ? 'Off' : 'On'),
      h('button', { class: 'grave', 'aria-label': `Delete ${w.name}`, onclick: () => void remove(w, refresh) }, 'Delete'))))
}

export function webhooksPage(page: Element, roles: string[], signal: AbortSignal): void {
  const admin = roles.includes('admin')
  const title = h('div', { class: 'title-row' }, h('h1', {}, 'Webhooks'), admin && h('button', { class: 'main', onclick: () => void create(refresh) }, 'New webhook'))
  show(page, title, loading())
  const refresh = refresher(signal, 5000, async () => {
    const { items } = await api.webhooks(signal)
    show(page, title, items.length === 0 ? empty('No webhook yet.', 'Events go signed, in order and at least once to an address of yours.')
      : table('Webhooks', ['Name', 'Address', 'Events', 'State', '#Delivered', '#Given up', ''], items.map((w) => row(w, admin, refresh))))
  })
}
