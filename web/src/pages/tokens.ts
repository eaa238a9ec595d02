// SPDX-License-Identifier: Apache-2.0
// Credentials for people, pipelines and new devices. A secret is shown once.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, clock } from '../base/format'
import { once } from '../base/live'
import { ask, told } from '../base/notice'
import type { Token } from '../base/types'
import { chips, empty, loading, table } from '../parts/table'

const ROLES: [string, string][] = [['viewer', 'looks'], ['publisher', 'publishes versions and releases'], ['operator', 'plans, starts, pauses, rolls back'],
  ['approver', 'approves plans'], ['enroller', 'lets new devices in'], ['admin', 'everything']]

/** Something secret that is not shown again. */
export async function showSecret(title: string, secret: string, more: Child): Promise<void> {
  await ask({ title, yes: 'I have kept it', body: [h('p', {}, 'This is shown once; only its hash is kept. ', more), h('code', { class: 'secret' }, secret)] })
}

async function create(refresh: () => void): Promise<void> {
  const form = await ask({
    title: 'New token', yes: 'Create',
    body: [
      h('label', {}, 'Name', h('input', { name: 'name', required: true, maxlength: 128, autocomplete: 'off' })),
      h('fieldset', {}, h('legend', {}, 'Roles'), ROLES.map(([role, text]) => h('label', { class: 'option', key: role }, h('input', { type: 'checkbox', name: 'roles', value: role }), role, h('small', {}, ` ${text}`)))),
      h('label', {}, 'Only devices that match (RSQL)', h('input', { name: 'selector', placeholder: 'all', spellcheck: 'false', autocomplete: 'off' })),
      h('label', {}, 'Ends after days', h('input', { name: 'days', type: 'number', min: 1, placeholder: 'never' })),
      h('label', {}, 'Devices that may enrol with it', h('input', { name: 'uses', type: 'number', min: 1, placeholder: 'no limit' })),
    ],
  })
  if (!form) return
  const text = (name: string) => String(form.get(name) ?? '').trim()
  await told(async () => {
    const made = await api.createToken({
      name: text('name'), roles: form.getAll('roles'), ...(text('selector') && { selector: text('selector') }),
      ...(text('days') && { expires_in_s: Number(text('days')) * 86400 }), ...(text('uses') && { uses: Number(text('uses')) }),
    })
    await showSecret(`Token ${made.name}`, made.token ?? '', 'Whoever has it may do what its roles say.')
    return `token ${made.name} is made`
  })
  refresh()
}

async function revoke(t: Token, refresh: () => void): Promise<void> {
  if (!await ask({ title: `Revoke token ${t.name}?`, yes: 'Revoke', grave: true, body: h('p', {}, 'Whoever uses it is refused from now on. Devices that have enrolled with it stay.') })) return
  await told(async () => (await api.revokeToken(t.id), `token ${t.name} is revoked`))
  refresh()
}

function row(t: Token, refresh: () => void): Described {
  return h('tr', { key: String(t.id) }, h('th', { scope: 'row' }, t.name), h('td', {}, chips(t.roles)),
    h('td', {}, t.selector ? h('code', {}, t.selector) : h('span', { class: 'quiet' }, 'every device')),
    h('td', { class: 'number' }, t.uses_left === null ? '-' : String(t.uses_left)),
    h('td', { class: 'time' }, t.revoked_at ? `revoked ${ago(t.revoked_at)}` : t.expires_at ? clock(t.expires_at) : 'never'),
    h('td', { class: 'time', title: `${clock(t.created_at)} by ${t.created_by}` }, ago(t.created_at)),
    h('td', {}, !t.revoked_at && h('button', { class: 'grave', 'aria-label': `Revoke ${t.name}`, onclick: () => void revoke(t, refresh) }, 'Revoke')))
}

export function tokensPage(page: Element, roles: string[], signal: AbortSignal): void {
  const refresh = () => once(signal, async () => {
    const { items } = await api.tokens(signal)
    show(page, h('div', { class: 'title-row' }, h('h1', {}, 'Tokens'), h('button', { class: 'main', onclick: () => void create(refresh) }, 'New token')),
      table('Tokens', ['Name', 'Roles', 'Sees', '#Uses left', 'Ends', 'Made', ''], items.map((t) => row(t, refresh))))
  })
  if (!roles.includes('admin')) return show(page, h('h1', {}, 'Tokens'), empty('Only admins see tokens.'))
  show(page, h('h1', {}, 'Tokens'), loading())
  refresh()
}
