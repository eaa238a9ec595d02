// SPDX-License-Identifier: Apache-2.0
// All rollouts: those that go on first, then the others, newest first.

import { api } from '../base/api'
import { h, show, type Described } from '../base/dom'
import { ago, clock, count, percent, roughly, some } from '../base/format'
import { icon } from '../base/icon'
import { listen, refresher } from '../base/live'
import type { Freeze, Rollout, Stats } from '../base/types'
import { figuresBar } from '../parts/bar'
import { smallGrid } from '../parts/grid'
import { rolloutSentence } from '../parts/sentence'
import { badge, ENDED } from '../parts/state'
import { empty, loading } from '../parts/table'

const PAGE = 50

const linkTo = (r: Rollout): string => `#/rollouts/${encodeURIComponent(r.name)}`

function row(r: Rollout, stats: Stats | undefined): Described {
  const f = stats?.total
  const failed = f ? f.failed + f.timed_out : 0
  return h('li', { key: r.name, class: 'rollout-row', 'data-rollout': r.name },
    h('div', { class: 'who' },
      h('a', { class: 'name', href: linkTo(r) }, r.name), badge(r.state),
      h('p', { class: 'quiet' }, `${r.release} → `, r.selector ? h('code', {}, r.selector) : 'every device', ` · ${ago(r.started_at ?? r.created_at)}`)),
    h('div', { class: 'picture' }, stats && smallGrid(stats)),
    h('div', { class: 'progress' }, r.started_at && [h('p', { class: 'numbers' }, h('b', {}, percent(f?.completion)), h('span', {}, ` ${count(f?.confirmed ?? 0)} of ${some(f?.targets || r.targets, 'device')}`),
        failed > 0 && h('span', { class: 'bad' }, `${count(failed)} failed (${percent(f?.failure)})`)), f && figuresBar(f)],
      h('p', { class: r.reason ? 'reason' : 'quiet' }, r.reason || rolloutSentence(r, stats ?? null))))
}

function list(title: string, rollouts: Rollout[], figures: Map<string, Stats>): Described | false {
  return rollouts.length > 0 && h('section', { key: title }, h('h2', {}, `${title} `, h('small', {}, count(rollouts.length))),
    h('ul', { class: 'rollout-rows card' }, rollouts.map((r) => row(r, figures.get(r.name)))))
}

/** What holds deliveries back, whatever a rollout would do. */
function frozen(freezes: Freeze[]): Described[] {
  return freezes.filter((f) => f.holds).map((f) => h('p', { class: 'banner card', key: `freeze ${f.name}`, role: 'status' }, icon('snow'),
    h('span', {}, h('b', {}, `Frozen: ${f.name}`), ' · nothing is delivered to ', f.selector ? h('code', {}, f.selector) : 'any device',
      f.span?.until ? ` until ${clock(f.span.until)}` : ' until it is lifted', f.every && ` (every ${everyText(f)})`,
      f.why && ` · ${f.why}`, h('small', {}, ` by ${f.created_by}`))))
}

function everyText(f: Freeze): string {
  return `${(f.every ?? []).map((r) => `${r.cron ?? r.rrule ?? ''} for ${roughly(r.duration_s)}`).join(', ')}, ${f.zone ?? 'UTC'}`
}

/** What will hold them back. */
function calendar(freezes: Freeze[]): Described | false {
  const planned = freezes.filter((f) => f.planned && f.span)
  return planned.length > 0 && h('section', { key: 'calendar', class: 'calendar' }, h('h2', {}, 'Freezes to come ', h('small', {}, count(planned.length))),
    h('ul', { class: 'card' }, planned.map((f) => h('li', { key: f.name }, icon('snow'), h('b', {}, f.name), ` from ${clock(f.span?.from)}`,
      f.span?.until ? ` until ${clock(f.span.until)}` : ' until it is lifted', ' · ', f.selector ? h('code', {}, f.selector) : 'every device',
      f.every && ` · every ${everyText(f)}`, f.why && ` · ${f.why}`))))
}

function nothing(): Described {
  return empty('No rollout yet.', 'Publish versions, name them in a release, then plan: ',
    h('code', {}, 'fleetctl rollout create NAME --release RELEASE'), '. It is shown here before anything is delivered.')
}

export function rolloutsPage(page: Element, roles: string[], signal: AbortSignal): void {
  const title = h('div', { class: 'title-row' }, h('h1', {}, 'Rollouts'), roles.some((r) => r === 'operator' || r === 'admin') && h('a', { class: 'button main', href: '#/new' }, 'New rollout'))
  const figures = new Map<string, Stats>()
  const tags = new Map<string, string>()
  let more: string[] = ['']
  let next: string | null = null

  /** Figures of a rollout that has ended change no more. */
  async function look(r: Rollout): Promise<void> {
    const tag = tags.get(r.name) ?? ''
    if (ENDED.has(r.state) && figures.get(r.name)?.state === r.state) return
    if (r.state === 'planning') return
    const fresh = await api.stats(r.name, '', signal)
    if (fresh.stats && fresh.tag !== tag) figures.set(r.name, fresh.stats)
    tags.set(r.name, fresh.tag)
  }
  async function draw(): Promise<void> {
    const freezes = (await api.freezes(signal)).items
    const pages = await Promise.all(more.map((cursor) => api.rollouts(cursor, signal)))
    const all = pages.flatMap((p) => p.items)
    next = pages.at(-1)?.next ?? null
    await Promise.all(all.slice(0, PAGE).map(look))
    const ended = all.filter((r) => ENDED.has(r.state))
    show(page, title, frozen(freezes),
      all.length === 0 && nothing(),
      list('Under way', all.filter((r) => !ENDED.has(r.state)), figures),
      calendar(freezes),
      list('Ended', ended, figures),
      next !== null && h('button', { onclick: () => ((more = [...more, next ?? '']), refresh()) }, 'Older rollouts'))
  }
  show(page, title, loading())
  const refresh = refresher(signal, 2000, draw)
  listen(signal, (e) => /^(rollout|stage|gate|freeze)\./.test(e.kind) && refresh())
}
