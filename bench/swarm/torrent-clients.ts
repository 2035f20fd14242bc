import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { spawnNode } from '#devnet'
import { missingProgram, SWARM_DIR, type TorrentClient } from './torrent-swarm.ts'

const MiB = 2 ** 20
/** Debian's own, which knows Debian's libtorrent. */
const PYTHON = '/usr/bin/python3'

/** aria2c as it comes, without what looks for more peers than there are. */
export const aria2: TorrentClient = {
  name: 'aria2',
  pieceBytes: MiB,
  missing: () => missingProgram('aria2c', ['--version'], 'apt-get install -y aria2'),
  async start({ host, torrent, files, home, marker, seeding }) {
    const hook = join(home, 'hook')
    await writeFile(hook, `#!/bin/sh\n: > ${marker}\n`, { mode: 0o755 })
    const common = `--no-conf --dir=${files} --listen-port=6881 --seed-ratio=0.0 --enable-dht=false --enable-dht6=false
      --file-allocation=none --check-certificate=false --quiet --allow-overwrite=true --on-bt-download-complete=${hook}`
    const own = seeding ? ['--bt-seed-unverified=true'] : []
    return spawnNode({ command: 'aria2c', args: [...common.split(/\s+/), ...own, torrent], within: host.within })
  },
}

/** libtorrent by its Python binding, with its defaults but for DHT, port mapping and uTP. */
export const libtorrent: TorrentClient = libtorrentClient('libtorrent', 'seed')

/** The same, its seeder in the mode that gives each piece out once before it gives any twice. */
export const superSeeding: TorrentClient = libtorrentClient('libtorrent super-seeding', 'super')

function libtorrentClient(name: string, seedManner: 'seed' | 'super'): TorrentClient {
  return {
    name,
    pieceBytes: MiB,
    missing: () => missingProgram(PYTHON, ['-c', 'import libtorrent'], 'apt-get install -y python3-libtorrent'),
    start: ({ host, torrent, files, marker, seeding }) => {
      const script = join(SWARM_DIR, 'libtorrent-peer.py')
      const args = [script, torrent, files, host.address, seeding ? seedManner : 'plain', marker]
      return spawnNode({ command: PYTHON, args, within: host.within })
    },
  }
}

/** transmission's daemon in the foreground; told of the file's end by its script. */
export const transmission: TorrentClient = {
  name: 'transmission',
  pieceBytes: MiB,
  missing: () => missingProgram('transmission-cli', ['--version'], 'apt-get install -y transmission-cli'),
  async start({ host, torrent, files, home, marker, seeding }) {
    const hook = join(home, 'hook')
    await writeFile(hook, `#!/bin/sh\n: > ${marker}\n`, { mode: 0o755 })
    await writeFile(join(home, 'settings.json'), JSON.stringify(TRANSMISSION_SETTINGS))
    const args = [
      '-g',
      home,
      '-w',
      files,
      '-f',
      hook,
      '-p',
      '6881',
      '-M',
      '-D',
      '-U',
      ...(seeding ? ['-v'] : []),
      torrent,
    ]
    return spawnNode({
      command: 'transmission-cli',
      args,
      within: host.within,
      ...(seeding ? { readyWhen: ({ stdout }) => stdout.includes('Seeding') } : {}),
    })
  },
}

const TRANSMISSION_SETTINGS = {
  'dht-enabled': false,
  'lpd-enabled': false,
  'pex-enabled': true,
  'utp-enabled': false,
  'port-forwarding-enabled': false,
  preallocation: 0,
}
