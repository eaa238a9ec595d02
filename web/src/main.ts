// SPDX-License-Identifier: Apache-2.0
// Which page is shown, and the bar above it.

import { api, token, type Server, type WhoAmI } from './api'
import { devicesPage } from './devices'
import { byId, h, show } from './dom'
import { loginPage } from './login'
import { rolloutPage } from './rollout'
import { rolloutsPage } from './rollouts'

let leave = new AbortController()
let known: { server: Server; who: WhoAmI } | null = null

function bar(hash: string): void {
  const link = (to: string, text: string) => h('a', { href: to, 'aria-current': hash === to ? 'page' : null }, text)
  const out = () => {
    token.forget()
    known = null
    location.hash = '#/login'
  }
  show(byId('top'), h('a', { href: '#/', class: 'brand' }, 'fleetd'),
    known && h('nav', {}, link('#/', 'Rollouts'), link('#/devices', 'Devices')),
    known && h('div', { class: 'who' },
      known.server.quick_start_root && h('span', { class: 'badge wait', title: 'The root key was made at the first start. Replace it before production.' }, 'quick-start root'),
      h('span', { class: 'quiet' }, `${known.who.name} · ${known.server.tenant} · ${known.server.version}`),
      h('button', { onclick: out }, 'Sign out')))
}

async function route(): Promise<void> {
  leave.abort()
  leave = new AbortController()
  const hash = location.hash || '#/'
  const page = byId('page')
  if (!known && token.get() && hash !== '#/login') {
    const [server, who] = await Promise.all([api.server(), api.whoami()]).catch(() => [null, null])
    known = server && who && { server, who }
  }
  bar(hash)
  if (!known) {
    loginPage(page, () => (location.hash === '#/' ? void route() : (location.hash = '#/')))
    return
  }
  const rollout = /^#\/rollouts\/([^/]+)$/.exec(hash)
  const mayAct = known.who.roles.some((r) => r === 'operator' || r === 'admin')
  if (rollout) rolloutPage(page, decodeURIComponent(rollout[1] ?? ''), mayAct, leave.signal)
  else if (hash === '#/devices') devicesPage(page, leave.signal)
  else rolloutsPage(page, leave.signal)
}

window.addEventListener('hashchange', () => void route())
void route()
