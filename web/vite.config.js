// SPDX-License-Identifier: Apache-2.0
// Static files with hashed names and nothing inline, so that a strict CSP holds.
import { defineConfig } from 'vite'

export default defineConfig({
  base: '/',
  build: {
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    target: 'es2021',
  },
})
