import { basename, dirname, join } from 'node:path'
import { spawnNode, startNginx } from '#devnet'
import { Scope } from '#runtime'
import { type Contender, race } from './race.ts'
import { missingProgram } from './torrent-swarm.ts'

/** No swarm at all: everybody reads the one nginx on the host that is the seed elsewhere. */
export const everybodyCurls: Contender = {
  name: 'curl by all from one nginx',
  oneLink: true,
  missing: () => missingProgram('curl', ['--version'], 'apt-get install -y curl'),
  async enter(course) {
    const { net, file, dir } = course
    const [seed] = net.hosts
    if (seed === undefined) throw new Error('a net without hosts')
    const scope = new Scope()
    const nginx = scope.own(await startNginx({ root: dirname(file.path), address: seed.address, within: seed.within }))
    return {
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
      lap: async () => {
        const before = await nginx.bytesSent()
        const lap = await race(course, { seed: [nginx.pid] }, async ({ within }, index) => {
          const output = join(dir, `curl-${index}`)
          const args = ['-sS', '-o', output, nginx.url(basename(file.path))]
          const child = scope.own(await spawnNode({ command: 'curl', args, within }))
          const finished = child.exited.then(({ code }) => {
            if (code !== 0) throw new Error(`curl: exit ${code}: ${child.stderr()}`)
          })
          return { output, pids: [], finished }
        })
        return { ...lap, originBytes: (await nginx.bytesSent()) - before }
      },
    }
  },
}
