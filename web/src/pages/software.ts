// SPDX-License-Identifier: Apache-2.0
// What there is to roll out: modules with their versions, and releases.

import { api } from '../base/api'
import { h, show, type Child, type Described } from '../base/dom'
import { ago, bytes, clock, count, some } from '../base/format'
import { icon } from '../base/icon'
import { everyWhile, once } from '../base/live'
import { ask, notice, sentence, told } from '../base/notice'
import type { Module, Release, Version } from '../base/types'
import { chips, empty, loading, table } from '../parts/table'

const moduleAddress = (name: string): string => `#/software/${encodeURIComponent(name)}`
const may = (roles: string[], role: string): boolean => roles.includes(role) || roles.includes('admin')

/* ---- all of it */

function moduleRow(m: Module): Described {
  return h('tr', { key: m.name }, h('th', { scope: 'row' }, h('a', { href: moduleAddress(m.name) }, m.name)),
    h('td', {}, m.kind), h('td', {}, m.tier), h('td', {}, m.newest ?? h('span', { class: 'quiet' }, 'none yet')),
    h('td', { class: 'number' }, count(m.versions)), h('td', { class: 'said' }, m.description))
}

const entryText = (e: Release['entries'][number]): string => `${e.module}${e.version ? ` ${e.version}` : ''}${e.action === 'update' ? '' : ` (${e.action})`}`

function releaseRow(r: Release, roles: string[]): Described {
  return h('tr', { key: r.name }, h('th', { scope: 'row' }, r.name), h('td', {}, chips(r.entries.map(entryText))), h('td', { class: 'said' }, r.notes),
    h('td', { class: 'time' }, h('time', { datetime: r.created_at, title: `${clock(r.created_at)} by ${r.created_by}` }, ago(r.created_at))),
    h('td', {}, may(roles, 'operator') && h('a', { href: `#/new?release=${encodeURIComponent(r.name)}` }, 'Roll out')))
}

export function softwarePage(page: Element, roles: string[], signal: AbortSignal): void {
  const title = h('div', { class: 'title-row' }, h('h1', {}, 'Software'), may(roles, 'publisher') && h('a', { class: 'button main', href: '#/new-release' }, 'New release'))
  show(page, title, loading())
  everyWhile(signal, 15000, async () => {
    const [modules, releases] = await Promise.all([api.modules(signal), api.releases(signal)])
    show(page, title,
      h('section', {}, h('h2', {}, 'Releases ', h('small', {}, count(releases.items.length))), releases.items.length === 0
        ? empty('No release yet.', 'A release names versions of modules that go to devices together.')
        : table('Releases', ['Release', 'Contains', 'Notes', 'Made', ''], releases.items.map((r) => releaseRow(r, roles)))),
      h('section', {}, h('h2', {}, 'Modules ', h('small', {}, count(modules.items.length))), modules.items.length === 0
        ? empty('No module yet.', 'Pipelines publish versions with their bytes: ', h('code', {}, 'fleetctl version publish app 1.0.0 app.wasm --kind wasm'))
        : table('Modules', ['Module', 'Kind', 'Runs on', 'Newest', '#Versions', 'What it is for'], modules.items.map(moduleRow))))
  })
}

/* ---- one module */

const demands = (values: Record<string, string>): Child => chips(Object.entries(values).map(([name, range]) => `${name} ${range}`))

function marks(v: Version): Child {
  return [
    v.blocked && h('span', { class: 'state bad', key: 'blocked', title: clock(v.blocked.at) }, icon('failed'), 'blocked'), v.blocked?.why && h('small', { key: 'why' }, ` ${v.blocked.why}`),
    v.floor && h('span', { class: 'chip', key: 'floor', title: 'Older versions must pass through it' }, 'floor'),
    !v.downgrade && h('span', { class: 'chip', key: 'one-way', title: 'There is no way back from it' }, 'no way back'),
  ]
}

function variants(v: Version): Child {
  return h('ul', { class: 'bare' }, v.variants.map((x, i) => h('li', { key: String(i) }, x.artifact ? bytes(x.artifact.size) : 'no bytes here', x.selector && [' ', h('code', {}, x.selector)])))
}

/** Block or unblock, and say whom that concerns. */
async function turn(v: Version, refresh: () => void): Promise<void> {
  const block = !v.blocked
  const name = `${v.module} ${v.version}`
  const form = await ask({
    title: block ? `Block ${name}?` : `Unblock ${name}?`, yes: block ? 'Block' : 'Unblock', grave: block,
    body: [
      h('p', {}, block ? 'No plan takes it, no rollout delivers it, no rollback returns to it. Rollouts that bring it are paused.' : 'It may be delivered again. Rollouts that were paused wait to be resumed.'),
      block && h('label', {}, 'Why (for the audit trail)', h('input', { name: 'why', maxlength: 200, autocomplete: 'off' })),
    ],
  })
  if (!form) return
  await told(async () => {
    const done = await api.block(v.module, v.version, block, String(form.get('why') ?? ''))
    const runs = `${done.runs_on.whole ? '' : 'at least '}${some(done.runs_on.devices, 'device')} run it`
    const held = [done.paused.length > 0 && `paused: ${done.paused.join(', ')}`, done.waiting.length > 0 && `cannot start: ${done.waiting.join(', ')}`]
    return block ? [`${name} is blocked`, ...held, runs].filter(Boolean).join('; ') : `${name} is not blocked any more`
  })
  refresh()
}

function versionRow(v: Version, roles: string[], refresh: () => void): Described {
  return h('tr', { key: v.version, 'data-version': v.version },
    h('th', { scope: 'row' }, v.version, v.notes && h('small', { title: v.notes }, ' notes')), h('td', {}, marks(v)),
    h('td', { class: 'said' }, demands(v.requires)), h('td', { class: 'said' }, demands(v.needs)), h('td', {}, variants(v)),
    h('td', { class: 'time' }, h('time', { datetime: v.created_at, title: `${clock(v.created_at)} by ${v.created_by}` }, ago(v.created_at))),
    h('td', {}, h('a', { href: `#/devices?q=${encodeURIComponent(`installed.${v.module}=='${v.version}'`)}` }, 'Who runs it')),
    h('td', {}, may(roles, 'operator') && h('button', { class: v.blocked ? '' : 'grave', 'aria-label': `${v.blocked ? 'Unblock' : 'Block'} ${v.version}`, onclick: () => void turn(v, refresh) }, v.blocked ? 'Unblock' : 'Block')))
}

export function modulePage(page: Element, name: string, roles: string[], signal: AbortSignal): void {
  const crumbs = h('p', { class: 'crumbs' }, h('a', { href: '#/software' }, 'Software'), ' / ', name)
  show(page, crumbs, loading())
  const refresh = () => once(signal, async () => {
    const [m, versions] = await Promise.all([api.module(name, signal), api.versions(name, signal)])
    show(page, crumbs, h('header', { class: 'title' }, h('div', {}, h('h1', {}, m.name), h('p', { class: 'quiet' }, [m.description, m.kind, `runs on the ${m.tier}`].filter(Boolean).join(' · ')))),
      h('section', {}, h('h2', {}, 'Versions ', h('small', {}, count(versions.items.length))), versions.items.length === 0
        ? empty('No version yet.', h('code', {}, `fleetctl version publish ${m.name} 1.0.0 FILE`))
        : table('Versions', ['Version', '', 'Requires', 'Needs', 'Bytes', 'Published', '', ''], [...versions.items].reverse().map((v) => versionRow(v, roles, refresh)))))
  })
  refresh()
}

/* ---- a new release */

/** "app@2.1.0", "app@2.1.0:install", "old:absent" */
function entryOf(line: string): object {
  const [, module, version, action] = /^([^@:\s]+)(?:@([^:\s]+))?(?::(update|install|absent))?$/.exec(line) ?? []
  if (!module || (!version && action !== 'absent')) throw new Error(`"${line}" is no entry: write module@version, module@version:install or module:absent`)
  return { module, ...(version && { version }), ...(action && { action }) }
}

export function newReleasePage(page: Element, signal: AbortSignal): void {
  let newest = ''
  let why = ''
  function draw(): void {
    show(page, h('p', { class: 'crumbs' }, h('a', { href: '#/software' }, 'Software'), ' / new release'), h('h1', {}, 'New release'),
      h('form', { class: 'big-form', onsubmit: (e) => (e.preventDefault(), create(new FormData(e.target as HTMLFormElement))) },
        h('fieldset', { class: 'card' }, h('legend', {}, 'Versions that go together'),
          h('div', { class: 'fields' }, h('label', {}, 'Name', h('input', { name: 'name', required: true, maxlength: 128, placeholder: '2026.11', autocomplete: 'off' })),
            h('label', {}, 'Notes', h('input', { name: 'notes', autocomplete: 'off' }))),
          h('label', { class: 'entries' }, 'Entries, one a line', h('textarea', { name: 'entries', rows: 10, required: true, spellcheck: 'false', value: newest })),
          h('p', { class: 'quiet' }, 'The newest version of every module stands there: take out what shall stay as it is. What is required comes along by itself. ',
            h('code', {}, 'app@2.1.0'), ' updates it where it is installed, ', h('code', {}, 'app@2.1.0:install'), ' installs it, ', h('code', {}, 'app:absent'), ' removes it.')),
        h('p', { class: 'bad', role: 'alert' }, why),
        h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, 'Create'))))
  }
  function create(form: FormData): void {
    once(signal, async () => {
      try {
        const name = String(form.get('name')).trim()
        const lines = String(form.get('entries')).split('\n').map((line) => line.trim()).filter(Boolean)
        await api.createRelease(name, { entries: lines.map(entryOf), ...(form.get('notes') && { notes: String(form.get('notes')) }) })
        notice(`release ${name} is made`)
        location.hash = '#/software'
      } catch (error) {
        why = sentence(error)
        draw()
      }
    })
  }
  draw()
  once(signal, async () => {
    newest = (await api.modules(signal)).items.filter((m) => m.newest).map((m) => `${m.name}@${m.newest}`).join('\n')
    draw()
  })
}
