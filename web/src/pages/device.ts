// SPDX-License-Identifier: Apache-2.0
// One device: what it is, what it runs, what rollouts did with it, what it said.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, clock, stageName } from '../base/format'
import { everyWhile } from '../base/live'
import type { Device, Report } from '../base/types'
import { deviceExplanation } from '../parts/explain'
import { stageLink } from '../parts/grid'
import { stateText } from '../parts/state'
import { deviceLink } from '../parts/steps'
import { chips, empty, loading, table } from '../parts/table'
import { pairs } from './devices'

function facts(d: Device): [string, Child][] {
  const none = h('span', { class: 'quiet' }, 'none')
  return [
    ['Tier', d.gateway ? ['device behind ', deviceLink(d.gateway)] : d.tier],
    ['Seen', d.last_seen ? `${ago(d.last_seen)} (${clock(d.last_seen)})` : 'never'],
    ['Key', d.enrolled ? 'enrolled' : 'not enrolled: it has not shown its key yet'],
    ['Manifest', d.manifest === 0 ? 'none yet' : `number ${d.manifest}`],
    ['Attributes', Object.keys(d.attributes).length > 0 ? chips(pairs(d.attributes)) : none],
    ['Labels', Object.keys(d.labels).length > 0 ? chips(pairs(d.labels)) : none],
    ...(d.retired_at ? [['Retired', clock(d.retired_at)] as [string, Child]] : []),
  ]
}

function steps(d: Device): Described {
  const rows = d.steps ?? []
  return rows.length === 0 ? empty('No rollout has reached this device.')
    : table('Rollouts of this device', ['Rollout', 'Stage', 'State', 'Cause', 'When'], rows.map((s) => h('tr', { key: `${s.rollout} ${stageName(s.layer, s.wave)}` },
      h('th', { scope: 'row' }, h('a', { href: `#/rollouts/${encodeURIComponent(s.rollout)}` }, s.rollout)),
      h('td', {}, h('a', { href: stageLink(s.rollout, s) }, stageName(s.layer, s.wave))),
      h('td', {}, stateText(s.state)), h('td', {}, s.cause === 'none' ? '' : s.cause), h('td', { class: 'time' }, ago(s.changed_at)))))
}

function reports(rows: Report[]): Described {
  return rows.length === 0 ? empty('It has reported nothing yet.')
    : table('Reports of this device', ['When', 'State', 'Cause', 'What it said'], rows.map((r, i) => h('tr', { key: `${r.at} ${i}` },
      h('td', { class: 'time' }, clock(r.at)), h('td', {}, stateText(r.state)), h('td', {}, r.cause === 'none' ? '' : r.cause), h('td', { class: 'said' }, r.detail))))
}

export function devicePage(page: Element, id: string, signal: AbortSignal): void {
  show(page, loading())
  everyWhile(signal, 3000, async () => {
    const [d, said, why] = await Promise.all([api.device(id, signal), api.reports(id, signal), api.explainDevice(id, signal)])
    show(page, h('p', { class: 'crumbs' }, h('a', { href: '#/devices' }, 'Devices'), ' / ', id), h('h1', {}, id),
      deviceExplanation(why),
      h('div', { class: 'columns' },
        h('section', {}, h('h2', {}, 'Device'), h('dl', { class: 'card facts' }, facts(d).map(([term, text]) => [h('dt', {}, term), h('dd', {}, text)]))),
        h('section', {}, h('h2', {}, 'Installed'), d.installed.length === 0 ? empty('Nothing is installed.')
          : table('Installed modules', ['Module', 'Version'], d.installed.map((i) => h('tr', { key: i.module }, h('th', { scope: 'row' }, i.module), h('td', {}, i.version)))))),
      h('section', {}, h('h2', {}, 'Rollouts'), steps(d)),
      h('section', {}, h('h2', {}, 'Reports'), reports(said.items)))
  })
}
