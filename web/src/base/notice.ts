// SPDX-License-Identifier: Apache-2.0
// One sentence to the person, at the edge of the page; and the question before a grave act.

import { byId, h, show, type Child } from './dom'
import { icon } from './icon'

let timer = 0

/** Say one sentence for a while; a bad one stays until it is closed. */
export function notice(text: string, kind: 'good' | 'bad' = 'good'): void {
  const box = byId('notice')
  const close = () => show(box)
  show(box, h('div', { class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : null },
    icon(kind === 'bad' ? 'failed' : 'done'), h('p', {}, text),
    h('button', { class: 'plain', 'aria-label': 'Close this message', onclick: close }, icon('close'))))
  window.clearTimeout(timer)
  if (kind === 'good') timer = window.setTimeout(close, 6000)
}

/** What was said of another page is of no use on this one. */
export function turnPage(): void {
  if (byId('notice').querySelector('.bad')) show(byId('notice'))
}

/** The server refuses what a page asks for: said in its place as long as it shows nothing yet, else beside it. */
export function refused(text: string): void {
  const page = byId('page')
  if (!page.querySelector(':scope > [aria-busy]:only-child')) return notice(text, 'bad')
  show(page, h('div', { class: 'empty card', role: 'alert' }, h('p', {}, `${text.charAt(0).toUpperCase()}${text.slice(1)}.`),
    h('p', { class: 'quiet' }, h('a', { href: '#/' }, 'Rollouts'), ' or ', h('a', { href: '#/devices' }, 'devices'))))
}

export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Do it and say what it answers, or why it was refused. */
export async function told(what: () => Promise<string>): Promise<void> {
  try {
    notice(await what())
  } catch (error) {
    notice(sentence(error), 'bad')
  }
}

interface Question {
  title: string
  body: Child
  yes: string
  grave?: boolean
}

/** Ask; what the form holds when the person says yes, null when not. */
export function ask(question: Question): Promise<FormData | null> {
  const dialog = byId('question') as HTMLDialogElement
  return new Promise((answer) => {
    let said: FormData | null = null
    show(dialog, h('form', {
      method: 'dialog',
      onsubmit: (event) => {
        event.preventDefault()
        said = new FormData(event.target as HTMLFormElement)
        dialog.close()
      },
    },
    h('h2', { id: 'question-title' }, question.title), question.body,
    h('div', { class: 'buttons' },
      h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
      h('button', { type: 'submit', class: question.grave ? 'grave' : 'main' }, question.yes))))
    dialog.addEventListener('close', () => (show(dialog), answer(said)), { once: true })
    dialog.showModal()
  })
}
