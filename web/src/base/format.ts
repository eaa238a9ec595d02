// SPDX-License-Identifier: Apache-2.0
// Numbers and times for people. What has no value is "-".

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return '-'
  const value = share * 100
  if (value === 0 || value === 100) return `${value} %`
  // never round to a perfect figure that is none
  return `${value > 99.9 ? '99.9' : value < 0.1 ? '<0.1' : tenths(value)} %`
}

/** "12.5", "12" */
const tenths = (n: number): string => n.toFixed(1).replace(/\.0$/, '')

export function count(n: number): string {
  return n.toLocaleString('en')
}

/** "1 device", "37 devices" */
export function some(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`
}

export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return '-'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = n
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value.toFixed(unit === 0 || value >= 99.5 ? 0 : 1)} ${units[unit]}`
}

export function seconds(s: number | null | undefined): string {
  if (s === null || s === undefined) return '-'
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`
  if (s < 60) return `${s < 9.95 ? s.toFixed(1) : s.toFixed(0)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`
}

/** A length as people say it: "4 min". */
export function roughly(s: number): string {
  if (s < 60) return `${Math.max(0, Math.ceil(s))} s`
  if (s < 3600) return `${Math.round(s / 60)} min`
  if (s < 86400) return `${s < 36000 ? tenths(s / 3600) : Math.round(s / 3600)} h`
  return `${Math.round(s / 86400)} days`
}

export function ago(time: string | null | undefined): string {
  if (!time) return '-'
  const s = (Date.now() - Date.parse(time)) / 1000
  if (s < 5) return 'just now'
  return `${roughly(s)} ago`
}

const pad = (n: number): string => String(n).padStart(2, '0')

/** "14:03:27"; with the day when it is not today's. The browser's time zone. */
export function clock(time: string | null | undefined): string {
  if (!time) return '-'
  const t = new Date(time)
  const text = `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`
  if (t.toDateString() === new Date().toDateString()) return text
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${text}`
}

export function words(state: string): string {
  return state === 'waiting_approval' ? 'waiting for approval' : state.replaceAll('_', ' ')
}

/** The beginning of a digest, enough to tell it from others. */
export function short(hex: string | null): string {
  return hex === null ? '-' : hex.slice(0, 12)
}

export function stageName(layer: number, wave: number): string {
  return `L${layer}.W${wave}`
}
