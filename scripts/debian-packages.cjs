'use strict'
// The servers that stories and examples read from, where Debian has them: installed when they are missing.
const fs = require('node:fs')
const { spawnSync } = require('node:child_process')

const APT = '/usr/bin/apt-get'

/** By Debian package: where its program may be, and what needs it. */
const SERVERS = {
  'nginx-light': {
    places: ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/local/bin/nginx', '/opt/homebrew/bin/nginx'],
    for: 'the stories',
  },
  curl: { places: ['/usr/bin/curl', '/usr/local/bin/curl', '/opt/homebrew/bin/curl'], for: 'the short benchmark' },
  'openssh-server': { places: ['/usr/sbin/sshd'], for: 'the tests of examples/plugin-sftp' },
}

/** Says what it does, and what to do where it may not. None of the servers is started. */
exports.installServers = () => {
  const missing = Object.keys(SERVERS).filter((name) => !SERVERS[name].places.some((place) => fs.existsSync(place)))
  if (missing.length === 0) return
  if (process.getuid?.() === 0 && fs.existsSync(APT)) {
    console.log(`installing ${missing.join(' and ')} (only now)`)
    if (install(missing) || (apt(['update']) && install(missing))) return
  }
  for (const name of missing) {
    console.log(`${SERVERS[name].for} need ${name}: install it (Debian: apt-get install ${name}) and run this again`)
  }
}

function install(names) {
  return apt(['install', '-y', '--no-install-recommends', ...names])
}

function apt(args) {
  // RUNLEVEL: in the first runlevel no package starts its service.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  return spawnSync(APT, args, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0
}
