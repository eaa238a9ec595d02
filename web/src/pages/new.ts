// SPDX-License-Identifier: Apache-2.0
// A new rollout: what for whom, how; the plan as it would be, before anything is kept; then create it.

import { api } from '../base/api'
import { h, show, type Described } from '../base/dom'
import { once } from '../base/live'
import { sentence } from '../base/notice'
import type { Plan } from '../base/types'
import { planView } from '../parts/plan'
import { field, select, strategyFields, strategyOf, type FormState } from '../parts/strategy_form'
import { empty, loading } from '../parts/table'

type Whom = '' | 'selector' | 'channel'

interface Known {
  releases: string[]
  channels: string[]
}

function whatFields(k: Known, whom: Whom, release: string, changed: (whom: Whom) => void): Described {
  return h('fieldset', { class: 'card' }, h('legend', {}, 'What, for whom'), h('div', { class: 'fields' },
    field('Name', 'name', 'november', { required: true, maxlength: 128 }),
    select('Release', 'release', k.releases.map((r) => [r, r]), undefined, release),
    select('For', 'whom', [['', 'every device'], ['selector', 'devices that match'], ...(k.channels.length > 0 ? [['channel', 'the devices of a channel, which moves with it'] as [string, string]] : [])], (w) => changed(w as Whom)),
    whom === 'selector' && field('Selector (RSQL)', 'selector', 'attribute.region==eu', { required: true }),
    whom === 'channel' && select('Channel', 'channel', k.channels.map((c) => [c, c]))))
}

export function newRolloutPage(page: Element, query: URLSearchParams, roles: string[], signal: AbortSignal): void {
  let known: Known | null = null
  let whom: Whom = ''
  let state: FormState = { waves: ['1%', '10%', ''].map((size, key) => ({ key, size })), gate: '' }
  let plan: Plan | null = null
  let stale = false
  let busy = false
  let why = ''

  const title = [h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Rollouts'), ' / new'), h('h1', {}, 'New rollout')]

  function draw(): void {
    if (!known) return show(page, title, loading())
    if (known.releases.length === 0) return show(page, title, empty('There is no release yet.', h('a', { href: '#/software' }, 'Make one'), ', then come back.'))
    show(page, title,
      h('form', { id: 'new', class: 'big-form', oninput: () => { if (plan && !stale) { stale = true; draw() } }, onsubmit: (e) => (e.preventDefault(), send(create)) },
        whatFields(known, whom, query.get('release') ?? '', (w) => ((whom = w), draw())),
        strategyFields(state, (s) => ((state = s), (stale = plan !== null), draw())),
        h('p', { class: 'bad', role: 'alert' }, why),
        h('div', { class: 'buttons' },
          h('button', { type: 'button', disabled: busy, onclick: () => send(preview) }, 'Preview the plan'),
          h('button', { type: 'submit', class: 'main', disabled: busy }, 'Create'),
          h('span', { class: 'quiet' }, 'Nothing is delivered before it is started.'))),
      plan && h('section', { class: 'preview', 'aria-label': 'Preview' }, h('h2', {}, 'The plan as it would be ', h('small', {}, stale ? 'before your last change' : 'now; nothing is kept of it')), planView(plan)))
  }

  function body(form: FormData): object {
    const text = (name: string) => String(form.get(name) ?? '').trim()
    return { release: text('release'), ...(whom && { [whom]: text(whom) }), strategy: strategyOf(form, state) }
  }
  async function preview(form: FormData): Promise<void> {
    plan = await api.preview(body(form), signal)
    stale = false
  }
  async function create(form: FormData): Promise<void> {
    const name = String(form.get('name') ?? '').trim()
    await api.createRollout(name, body(form))
    location.hash = `#/rollouts/${encodeURIComponent(name)}`
  }
  function send(what: (form: FormData) => Promise<void>): void {
    const form = document.getElementById('new') as HTMLFormElement
    if (what === create && !form.reportValidity()) return
    busy = true
    why = ''
    draw()
    once(signal, async () => {
      try {
        await what(new FormData(form))
      } catch (error) {
        why = sentence(error)
      }
      busy = false
      if (!signal.aborted) draw()
    })
  }

  if (!roles.some((r) => r === 'operator' || r === 'admin')) return show(page, title, empty('Only operators can plan.', 'Ask for a token with the role operator.'))
  draw()
  once(signal, async () => {
    const [releases, channels] = await Promise.all([api.releases(signal), api.channels(signal)])
    known = { releases: releases.items.map((r) => r.name), channels: channels.items.map((c) => c.name) }
    draw()
  })
}
