import { mkdir, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { tempDir } from '#devnet'
import { parseOrigin } from './origin.ts'

test('what lies there is a path, also where a package could be called so', async () => {
  await using dir = await tempDir('origin')
  await writeFile(dir.join('my-plugin'), '')
  await mkdir(dir.join('folder'))
  for (const name of ['my-plugin', 'folder'])
    expect(parseOrigin(dir.join(name))).toEqual({ kind: 'path', path: dir.join(name) })
  const path = dir.join('not there.mjs')
  expect(parseOrigin(pathToFileURL(path).href)).toEqual({ kind: 'path', path })
  expect(parseOrigin('package.json')).toEqual({ kind: 'path', path: resolve('package.json') })
})

test.each(['http://h/x.mjs', 'https://h:1/a/d7y-resource-plugin-x.mjs?token=1', 'HTTPS://h/p.tgz'])(
  '%s is a URL',
  (url) => {
    expect(parseOrigin(url)).toEqual({ kind: 'url', url })
  },
)

test.each(['d7yfs-plugin', '@me/d7yfs', 'a@1.2.3', '@me/a@^1.0.0', 'a@latest', 'a@>=1 <2'])(
  '%s is a package',
  (spec) => {
    expect(parseOrigin(spec)).toEqual({ kind: 'npm', spec })
  },
)

// npm itself would take these as a path, a repository or a flag, and run what it finds there.
test.each([
  ['', 'the name is empty'],
  ['./nowhere.mjs', './nowhere.mjs is not there'],
  ['d7y-resource-plugin-x.mjs', 'd7y-resource-plugin-x.mjs is not there'],
  ['nowhere/', 'nowhere/ is not there'],
  ['someone/repository', 'is neither a file'],
  ['git+ssh://host/x.git', 'over http and https only'],
  ['ftp://user:secret@host/x.mjs', 'ftp://host/x.mjs: plugins are fetched over http'],
  ['a@npm:b@1', 'is neither a file'],
  ['a@file:../b', 'is neither a file'],
  ['a@github:b/c', 'is neither a file'],
  ['--registry=x', 'is neither a file'],
  ['-g', 'is neither a file'],
  ['a b', 'is neither a file'],
  ['file://other/x.mjs', 'names no file of this machine'],
])('"%s" is refused', (what, reason) => {
  expect(() => parseOrigin(what)).toThrow(reason)
})
