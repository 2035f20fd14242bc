import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { directories } from './directories.ts'

const mine = join(homedir(), '.dragonfly')
const all = (): boolean => true
const none = (): boolean => false

test.each([
  ['the machine’s where they can be written', {}, {}, all, '/usr/local/dragonfly', '/var/log/dragonfly'],
  ['those of the user elsewhere', {}, {}, none, mine, join(mine, 'logs')],
  ['what the environment says', {}, { DRAGONFLY_WORKHOME: '/env' }, all, '/env', '/env/logs'],
  [
    'the flag before the environment',
    { workhome: '/flag' },
    { DRAGONFLY_WORKHOME: '/env' },
    all,
    '/flag',
    '/flag/logs',
  ],
  ['a log directory of its own', { workhome: '/w', logdir: '/l' }, {}, all, '/w', '/l'],
  ['nothing for an empty flag', { workhome: '', logdir: '' }, {}, none, mine, join(mine, 'logs')],
])('the directories are %s', (_, choice, env, mayWrite, workhome, logdir) => {
  expect(directories(choice, env, mayWrite)).toEqual({ workhome, logdir })
})
