import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeDirs } from './make-dirs.ts'

const mkdir = (path: string): void => mkdirSync(path, 0o700)

test('all missing levels are made, with the mode of the maker', () => {
  const dir = mkdtempSync(join(tmpdir(), 'make-dirs-'))
  makeDirs(join(dir, 'a/b/c/'), mkdir)
  expect(existsSync(join(dir, 'a/b/c'))).toBe(true)
  expect(statSync(join(dir, 'a/b')).mode & 0o777).toBe(0o700)
  makeDirs(join(dir, 'a/b/c'), mkdir)
  writeFileSync(join(dir, 'file'), '')
  expect(() => makeDirs(join(dir, 'file/x'), mkdir)).toThrow(/ENOTDIR/)
  rmSync(dir, { recursive: true })
})

test('a place where nothing can be made is an error, not a wait for ever', () => {
  expect(() => makeDirs('/proc/nowhere/x/y', mkdir)).toThrow(/ENOENT/)
})
