// SPDX-License-Identifier: Apache-2.0
// Numbers and times for people. What has no value is "-".

export function percent(share: number | null): string {
  if (share === null) return '-'
  const value = share * 100
  return `${value === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} %`
}

export function count(n: number): string {
  return n.toLocaleString('en')
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = n
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`
}

export function seconds(s: number | null): string {
  if (s === null) return '-'
  if (s < 60) return `${s < 10 ? s.toFixed(1) : s.toFixed(0)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`
}

export function ago(time: string | null): string {
  if (time === null) return '-'
  const s = Math.max(0, (Date.now() - Date.parse(time)) / 1000)
  if (s < 5) return 'just now'
  if (s < 60) return `${Math.floor(s)} s ago`
  if (s < 3600) return `${Math.floor(s / 60)} min ago`
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`
  return `${Math.floor(s / 86400)} days ago`
}

export function words(state: string): string {
  return state.replaceAll('_', ' ')
}
