// SPDX-License-Identifier: Apache-2.0
// Ask for a token.

import { api, token } from './api'
import { h, show } from './dom'

export function loginPage(page: Element, done: () => void): void {
  const field = h('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true }) as HTMLInputElement
  const why = h('p', { class: 'bad', role: 'alert' })
  async function submit(event: Event): Promise<void> {
    event.preventDefault()
    token.set(field.value.trim())
    try {
      await api.whoami()
      done()
    } catch (error) {
      token.forget()
      show(why, error instanceof Error ? error.message : String(error))
    }
  }
  show(page, h('form', { class: 'login card', onsubmit: (e) => void submit(e) },
    h('h1', {}, 'fleetd'),
    h('label', { for: 'token' }, 'Token'), field,
    h('p', { class: 'quiet' }, 'The first start of fleetd printed an administrator’s token. More: ', h('code', {}, 'fleetctl token create'), '. It is kept until this tab is closed.'),
    why,
    h('button', { type: 'submit', class: 'main' }, 'Sign in')))
  field.focus()
}
