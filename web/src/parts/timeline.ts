// SPDX-License-Identifier: Apache-2.0
// Events in words.

import { h, type Described } from '../base/dom'
import { clock, short, some, words } from '../base/format'
import { icon } from '../base/icon'
import type { Event } from '../base/types'
import { stateIcon, toneOf } from './state'

/** A value for people: digests cut short, lists with commas. */
function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(text).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  return hex(String(value))
}
const hex = (value: string): string => (/^[0-9a-f]{64}$/.test(value) ? short(value) : value)

/** What happened, without who and where. */
export function eventSentence(e: Event): string {
  const d = e.data
  switch (e.kind) {
    case 'rollout.created': return `created for release ${text(d['release'])}`
    case 'rollout.planned': return `planned: ${some(Number(d['devices']), 'device')}, ${some(Number(d['layers']), 'layer')}, ${some(Number(d['waves']), 'wave')}`
    case 'rollout.approved': return `approved${d['why'] ? `: ${text(d['why'])}` : ''}`
    case 'rollout.denied': return `denied: ${text(d['why'])}`
    case 'rollout.state': return `${words(text(d['state']))}${d['reason'] ? `: ${text(d['reason'])}` : ''}`
    case 'rollout.verb': return `${text(d['verb'])}: ${text(d['did'])}`
    case 'stage.state': return `${text(d['stage'])} ${words(text(d['state']))}`
    case 'gate.decided': return `gate of ${text(d['stage'])} ${words(text(d['state']))}: ${text(d['text'])}`
  }
  const facts = Object.entries(d).filter(([, value]) => text(value) !== '').map(([key, value]) => `${words(key)} ${text(value)}`)
  return facts.join(', ') || (e.kind.split('.')[1] ?? e.kind)
}

export function eventIcon(e: Event): Described {
  const state = text(e.data['state'])
  return e.kind === 'rollout.verb' ? h('span', { class: 'sign' }, icon('person')) : h('span', { class: `sign ${state ? toneOf(state) : ''}` }, state ? stateIcon(state) : icon('dot'))
}

/** Where the subject of an event is shown. */
export function subjectLink(e: Event): Described {
  const group = e.kind.split('.')[0] ?? ''
  const to = ['rollout', 'stage', 'gate'].includes(group) ? 'rollouts' : group === 'device' ? 'devices' : ''
  return to ? h('a', { href: `#/${to}/${encodeURIComponent(e.subject)}` }, e.subject) : h('span', { title: e.subject }, hex(e.subject))
}

export function timeline(events: Event[]): Described {
  return h('ol', { class: 'timeline' }, events.map((e) => h('li', { key: `${e.seq}` },
    h('time', { datetime: e.at, title: e.at }, clock(e.at)), eventIcon(e),
    h('span', {}, eventSentence(e), e.actor !== 'fleetd' && h('small', {}, ` by ${e.actor}`)))))
}
