// SPDX-License-Identifier: Apache-2.0
// Which page is shown, and the bar above it.

import { api, Problem, token } from './base/api'
import { byId, h, show } from './base/dom'
import { icon } from './base/icon'
import { hangUp, link } from './base/live'
import { notice, sentence, turnPage } from './base/notice'
import type { Server, WhoAmI } from './base/types'
import { auditPage } from './pages/audit'
import { channelsPage } from './pages/channels'
import { deltasPage } from './pages/deltas'
import { devicePage } from './pages/device'
import { devicesPage } from './pages/devices'
import { loginPage } from './pages/login'
import { newRolloutPage } from './pages/new'
import { rolloutPage, type View } from './pages/rollout'
import { rolloutsPage } from './pages/rollouts'
import { simulatePage } from './pages/simulate'
import { modulePage, newReleasePage, softwarePage } from './pages/software'
import { stagePage } from './pages/stage'
import { tokensPage } from './pages/tokens'
import { webhooksPage } from './pages/webhooks'
import { empty } from './parts/table'

interface Known {
  server: Server
  who: WhoAmI
}
type Show = (page: Element, parts: string[], query: URLSearchParams, known: Known, signal: AbortSignal) => void

/** Addresses behind the #; the first that matches is shown. */
const PAGES: [RegExp, Show][] = [
  [/^\/$/, (page, _, __, known, signal) => rolloutsPage(page, known.who.roles, signal)],
  [/^\/rollouts\/([^/]+)\/L(\d+)\.W(\d+)$/, (page, [name = '', l, w], _, __, signal) => stagePage(page, name, Number(l), Number(w), signal)],
  [/^\/rollouts\/([^/]+)(?:\/(plan|decisions))?$/, (page, [name = '', view], _, known, signal) => rolloutPage(page, name, (view || 'progress') as View, known.who.roles, signal)],
  [/^\/new$/, (page, _, query, known, signal) => newRolloutPage(page, query, known.who.roles, signal)],
  [/^\/software$/, (page, _, __, known, signal) => softwarePage(page, known.who.roles, signal)],
  [/^\/software\/([^/]+)$/, (page, [name = ''], _, known, signal) => modulePage(page, name, known.who.roles, signal)],
  [/^\/new-release$/, (page, _, __, ___, signal) => newReleasePage(page, signal)],
  [/^\/tokens$/, (page, _, __, known, signal) => tokensPage(page, known.who.roles, signal)],
  [/^\/webhooks$/, (page, _, __, known, signal) => webhooksPage(page, known.who.roles, signal)],
  [/^\/devices$/, (page, _, query, __, signal) => devicesPage(page, query.get('q') ?? '', signal)],
  [/^\/devices\/([^/]+)$/, (page, [id = ''], _, __, signal) => devicePage(page, id, signal)],
  [/^\/channels$/, (page, _, __, known, signal) => channelsPage(page, known.who.roles, signal)],
  [/^\/simulate$/, (page, _, __, known, signal) => simulatePage(page, known.who.roles, signal)],
  [/^\/audit$/, (page, _, query, __, signal) => auditPage(page, Object.fromEntries(query), signal)],
  [/^\/deltas$/, (page, _, __, ___, signal) => deltasPage(page, signal)],
]
const MENU: [path: string, text: string, roles?: string[]][] = [['/', 'Rollouts'], ['/devices', 'Devices'], ['/software', 'Software'], ['/channels', 'Channels'], ['/simulate', 'Simulation'], ['/deltas', 'Deltas'],
  ['/audit', 'Audit'], ['/webhooks', 'Webhooks', ['operator', 'admin']], ['/tokens', 'Tokens', ['admin']]]
/** Pages that belong to a place of the menu whose address they do not begin with. */
const INSIDE: Record<string, string> = { '/new': '/', '/new-release': '/software' }

let leave = new AbortController()
let known: Known | null = null

/** What somebody typed into the address may not be decodable. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function signOut(): void {
  token.forget()
  location.hash = '#/login'
}

function bar(path: string): void {
  const place = INSIDE[path] ?? path
  const here = (to: string) => (to === '/' ? place === '/' || place.startsWith('/rollouts') : place.startsWith(to))
  const seen = MENU.filter(([, , roles]) => !roles || roles.some((r) => known?.who.roles.includes(r)))
  show(byId('top'), h('a', { href: '#/', class: 'brand' }, h('i', { class: 'mark', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i')), 'fleetd'),
    known && [
      h('nav', { 'aria-label': 'Pages' }, seen.map(([to, text]) => h('a', { href: `#${to}`, 'aria-current': here(to) ? 'page' : null }, text))),
      h('div', { class: 'who' },
        !link.up && h('span', { class: 'badge wait', role: 'status', key: 'link' }, icon('half'), 'no answer, trying again'),
        known.server.quick_start_root && h('span', { class: 'badge wait', key: 'root', title: 'The root key was made at the first start. Replace it before production.' }, icon('warning'), 'quick-start root'),
        h('span', { class: 'quiet' }, `${known.who.name} · ${known.server.tenant} · ${known.server.version}`),
        h('button', { class: 'plain', onclick: signOut }, 'Sign out')),
    ])
}

/** Who we are, once per token; null when there is none, or it is refused. */
async function identify(): Promise<Known | null> {
  if (!token.get()) return null
  try {
    const [server, who] = await Promise.all([api.server(), api.whoami()])
    return { server, who }
  } catch (error) {
    if (error instanceof Problem && error.status === 401) token.forget()
    else notice(error instanceof Problem ? sentence(error) : 'fleetd does not answer; load this page again in a moment', 'bad')
    return null
  }
}

function open(path: string, query: URLSearchParams, signal: AbortSignal): void {
  const page = byId('page')
  for (const [pattern, shown] of PAGES) {
    const match = pattern.exec(path)
    if (match && known) return shown(page, match.slice(1).map((part) => decoded(part ?? '')), query, known, signal)
  }
  show(page, empty('There is no such page.', h('a', { href: '#/' }, 'Rollouts')))
}

async function route(): Promise<void> {
  leave.abort()
  leave = new AbortController()
  const { signal } = leave
  const [path = '/', search = ''] = (location.hash.slice(1) || '/').split('?')
  if (path === '/login') {
    known = null
    hangUp()
  }
  known ??= path === '/login' ? null : await identify()
  if (signal.aborted) return
  bar(path)
  link.changed = () => bar(path)
  document.title = path === '/' || !known ? 'fleetd' : `${decoded(path.split('/').filter(Boolean).slice(0, 3).reverse().join(' · '))} · fleetd`
  if (known) open(path, new URLSearchParams(search), signal)
  else loginPage(byId('page'), () => (path === '/login' ? (location.hash = '#/') : void route()))
}

window.addEventListener('hashchange', () => {
  window.scrollTo(0, 0)
  turnPage()
  void route()
})
void route()
