// SPDX-License-Identifier: Apache-2.0
// Strategies side by side, run by the real engine on a virtual clock: on the fleet that there is, or
// on one that is described. Nothing is kept of it.

import { api } from '../base/api'
import { h, show, type Described } from '../base/dom'
import { bytes, count, percent, roughly, some } from '../base/format'
import { once } from '../base/live'
import { sentence } from '../base/notice'
import type { Simulation, SimulationResult } from '../base/types'
import { bar } from '../parts/bar'
import { spread } from '../parts/spread'
import { empty, loading, table } from '../parts/table'

const time = (s: number | null): string => (s === null ? '-' : roughly(s))

function number(label: string, name: string, value: number, min: number, max: number): Described {
  return h('label', { key: name }, label, h('input', { type: 'number', name, value, min, max, required: true }))
}

/** The server's own strategies, by name. */
const KNOWN = ['all at once', 'fixed waves', 'exponential', 'sequential test', 'layer by layer']

/** What the form asks for; the cases are the server's own selection. Throws what is no JSON. */
function wish(form: FormData): object {
  const n = (name: string) => Number(form.get(name))
  const release = String(form.get('release') ?? '')
  const fleet = release ? { release, selector: String(form.get('selector') ?? '').trim() } : { devices: n('devices'), layers: n('layers') }
  const own = String(form.get('own') ?? '').trim()
  const strategies = [...KNOWN.map((name) => ({ name })), ...(own ? [{ name: 'mine', strategy: JSON.parse(own) as object }] : [])]
  return { ...fleet, strategies, runs: n('runs'), seed: n('seed') }
}

function row(r: SimulationResult, most: number): Described {
  return h('tr', { key: r.strategy }, h('th', { scope: 'row' }, r.strategy),
    h('td', { class: 'number' }, percent(r.passed)),
    h('td', { class: 'number', title: r.stopped_s === null ? 'no gate failed' : `on average after ${roughly(r.stopped_s)}` }, percent(r.stopped)),
    h('td', { class: 'size' }, bar([{ name: '% completed on average', look: 'confirmed', n: Math.round(100 * (r.completion ?? 0)) }], 100)), h('td', { class: 'number' }, percent(r.completion)),
    h('td', { class: 'size' }, bar([{ name: 'devices harmed on average', look: 'failed', n: r.harmed ?? 0 }], most)),
    h('td', { class: 'number', title: `at the most ${count(r.harmed_most)}` }, r.harmed === null ? '-' : r.harmed.toFixed(1)),
    h('td', { class: 'number' }, time(r.mean_s)), h('td', { class: 'number' }, time(r.p95_s)), h('td', { class: 'number' }, time(r.max_s)),
    h('td', { class: 'number' }, time(r.ended_s)), h('td', { class: 'number', title: `without deltas ${bytes(r.bytes_full)}` }, r.bytes ? bytes(r.bytes) : '-'), h('td', { class: 'number' }, `${count(r.peak_requests_s)}/s`))
}

function outcome(s: Simulation): Described {
  const most = Math.max(1, ...s.results.map((r) => r.harmed ?? 0)) // full length of a bar
  const cases = [...new Set(s.results.map((r) => r.case))]
  return h('div', { class: 'outcome' },
    h('p', { class: s.complete ? 'quiet' : 'reason' }, `${some(s.devices, 'device')}, ${some(s.layers, 'layer')}, ${some(s.runs, 'run')} each, seed ${s.seed}; ${count(s.facts)} facts went through the engine.`,
      !s.complete && ' The time was over before all runs were done: ask for fewer.'),
    cases.map((name) => h('section', { key: name, 'data-case': name }, h('h2', {}, `If the release is ${name}`),
      spread(`Devices that are through, over time, if the release is ${name}`, s.results.filter((r) => r.case === name)) || h('p', { class: 'quiet' }, 'In most runs every strategy ends before 5 % of the devices are through.'),
      table(`If the release is ${name}`, ['Strategy', '#All gates pass', '#A gate fails', '', '#Completion', '', '#Harmed', '#Mean', '#95 % within', '#Longest', '#Ends after', '#Bytes', '#Peak'],
        s.results.filter((r) => r.case === name).map((r) => row(r, most))))))
}

export function simulatePage(page: Element, roles: string[], signal: AbortSignal): void {
  let releases: string[] = []
  let release = ''
  let result: Simulation | null = null
  let running = false
  let why = ''

  function draw(): void {
    show(page, h('h1', {}, 'Simulation'),
      h('p', { class: 'quiet' }, 'How would a release spread, and how many devices would a bad one harm before it is stopped? The real engine plays it on a virtual clock, with several strategies. A curve ends where fewer than half of the runs came.'),
      h('form', { class: 'filter-form', onsubmit: (e) => (e.preventDefault(), run(new FormData(e.target as HTMLFormElement))) },
        h('label', {}, 'Fleet', h('select', { name: 'release', onchange: (e) => ((release = (e.target as HTMLSelectElement).value), draw()) },
          h('option', { value: '' }, 'a described one'), releases.map((r) => h('option', { value: r, key: r }, `this fleet, release ${r}`)))),
        release ? h('label', { key: 'selector' }, 'Devices (RSQL)', h('input', { name: 'selector', placeholder: 'every device', spellcheck: 'false' }))
          : [number('Devices', 'devices', 1000, 1, 200000), number('Layers', 'layers', 3, 1, 16)],
        number('Runs', 'runs', 10, 1, 1000), number('Seed', 'seed', 1, 0, 1e9),
        h('button', { type: 'submit', class: 'main', disabled: running }, running ? 'Running…' : 'Compare'),
        h('details', { key: 'own' }, h('summary', {}, 'A strategy of your own'),
          h('label', {}, 'As JSON, compared as “mine”', h('textarea', { name: 'own', rows: 5, spellcheck: 'false', placeholder: '{"waves": [{"count": 50}, {"percent": 100}], "soak_s": 3600}' })))),
      h('p', { id: 'why', class: 'bad', role: 'alert' }, why),
      running ? loading() : result && outcome(result))
  }
  function run(form: FormData): void {
    running = true
    why = ''
    draw()
    once(signal, async () => {
      try {
        result = await api.simulate(wish(form), signal)
      } catch (error) {
        why = error instanceof SyntaxError ? 'Your strategy is no JSON.' : sentence(error)
      }
      running = false
      if (!signal.aborted) draw()
    })
  }
  if (!roles.some((r) => r === 'operator' || r === 'admin')) return show(page, h('h1', {}, 'Simulation'), empty('Only operators can simulate.', 'Ask for a token with the role operator.'))
  draw()
  once(signal, async () => ((releases = (await api.releases(signal)).items.map((r) => r.name)), draw()))
}
