// SPDX-License-Identifier: Apache-2.0
// Channels: which release devices shall have when no rollout holds them, and how many have it.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, count, percent, some } from '../base/format'
import { listen, refresher } from '../base/live'
import { ask, told } from '../base/notice'
import type { Channel } from '../base/types'
import { bar } from '../parts/bar'
import { badge } from '../parts/state'
import { empty, loading } from '../parts/table'

/** What the last look at the devices found, in the order of the bar. */
const SHARES: { key: keyof NonNullable<Channel['devices']>; name: string; look: string }[] = [
  { key: 'noop', name: 'have it', look: 'confirmed' },
  { key: 'given_up', name: 'failed too often', look: 'failed' },
  { key: 'held', name: 'held by a rollout', look: 'busy' },
  { key: 'silent', name: 'silent', look: 'waiting' },
  { key: 'ambiguous', name: 'claimed by another channel too', look: 'back' },
  { key: 'update', name: 'to be brought up', look: 'rest' },
  { key: 'incompatible', name: 'cannot take it', look: 'rest' },
]

async function act(channel: Channel, verb: 'pause' | 'resume', refresh: () => void): Promise<void> {
  const body = verb === 'pause' ? 'No further device is brought up; what is under way goes on.' : `Devices are brought up to ${channel.release ?? 'its release'} again.`
  if (!await ask({ title: `${verb === 'pause' ? 'Pause' : 'Resume'} channel ${channel.name}?`, body: h('p', {}, body), yes: verb === 'pause' ? 'Pause' : 'Resume' })) return
  await told(async () => (await api.channelVerb(channel.name, verb), `channel ${channel.name} is ${verb === 'pause' ? 'paused' : 'on again'}`))
  refresh()
}

function found(c: Channel): Child {
  const d = c.devices
  if (!d) return h('p', { class: 'quiet' }, 'Its devices have not been looked at yet.')
  const total = SHARES.reduce((n, s) => n + d[s.key], 0)
  return [
    h('p', { class: 'numbers' }, h('b', {}, percent(total === 0 ? null : d.noop / total)), h('span', {}, ` ${count(d.noop)} of ${some(total, 'device')} have it`)),
    bar(SHARES.filter((s) => s.look !== 'rest').map((s) => ({ name: s.name, look: s.look, n: d[s.key] })), total),
    h('p', { class: 'quiet' }, SHARES.filter((s) => s.key !== 'noop' && d[s.key] > 0).map((s) => `${count(d[s.key])} ${s.name}`).join(' · ') || 'nothing to do', ` · looked at ${ago(c.looked_at)}`),
  ]
}

function row(c: Channel, mayAct: boolean, refresh: () => void): Described {
  const verb = c.state === 'on' ? 'pause' : 'resume'
  return h('li', { key: c.name, class: 'rollout-row', 'data-channel': c.name },
    h('div', { class: 'who' }, h('b', { class: 'name' }, c.name), badge(`channel_${c.state}`, c.state),
      h('p', { class: 'quiet' }, c.release ?? 'no release yet', ' → ', c.selector ? h('code', {}, c.selector) : 'every device', ` · ${some(c.rollouts, 'rollout')} made · at most ${count(c.max_in_flight)} at once`),
      c.reason && h('p', { class: 'reason' }, c.reason)),
    h('div', { class: 'picture' }, mayAct && h('button', { 'data-verb': verb, onclick: () => void act(c, verb, refresh) }, verb === 'pause' ? 'Pause' : 'Resume')),
    h('div', { class: 'progress' }, found(c)))
}

export function channelsPage(page: Element, roles: string[], signal: AbortSignal): void {
  const mayAct = roles.some((r) => r === 'operator' || r === 'admin')
  const title = h('h1', {}, 'Channels')
  show(page, title, loading())
  const refresh = refresher(signal, 5000, async () => {
    const { items } = await api.channels(signal)
    show(page, title, items.length === 0
      ? empty('No channel yet.', 'A channel says which release devices shall have when no rollout holds them, new and replaced ones too: ', h('code', {}, 'fleetctl channel set stable --release RELEASE'))
      : h('ul', { class: 'rollout-rows card' }, items.map((c) => row(c, mayAct, refresh))))
  })
  listen(signal, (e) => e.kind.startsWith('channel.') && refresh())
}
