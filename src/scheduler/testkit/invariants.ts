import { covers, crosses, holdsOrReads, isReading, offers } from '../swarm/editions.ts'
import type { Edition, Peer } from '../swarm/model.ts'
import { isLive } from '../swarm/states.ts'
import type { Swarm } from '../swarm/swarm.ts'

/** Everything that must be true of a swarm after every change; the first breach is thrown. */
export function checkSwarm(swarm: Swarm): void {
  let peers = 0
  for (const task of swarm.tasks.values()) {
    for (const peer of task.peers.values()) {
      peers++
      must(swarm.hosts.get(peer.host.id) === peer.host, `${peer.id} belongs to a host that is not known`)
      must(peer.host.peers.has(peer), `the host of ${peer.id} does not know it`)
      checkEdges(peer)
      must(!peer.parents.has(peer), `${peer.id} gets bytes from itself`)
      checkWay(peer)
      if (peer.edition === undefined) continue
      must(task.editions.includes(peer.edition), `${peer.id} is of an edition that the task does not have`)
      must(peer.edition.peers.has(peer), `the edition of ${peer.id} does not know it`)
      must(peer.edition.reading.has(peer) === isReading(peer), `${peer.id} is listed wrongly as reading`)
      must(peer.edition.offering.has(peer) === offers(peer), `${peer.id} is ${offers(peer) ? 'not ' : ''}offered`)
      const root = offers(peer) && holdsOrReads(peer.state)
      must(peer.edition.roots.has(peer) === root, `${peer.id} is ${root ? 'not ' : ''}listed as a root`)
    }
    for (const edition of task.editions) {
      checkCrossings(edition)
      for (const peer of edition.peers)
        must(task.peers.get(peer.id) === peer, `${peer.id} is forgotten, not its edition's`)
      for (const peer of edition.reading) must(edition.peers.has(peer), `${peer.id} reads an edition not its own`)
      for (const peer of edition.offering)
        must(edition.peers.has(peer), `${peer.id} is offered by an edition not its own`)
    }
  }
  must(swarm.peerCount === peers, `${peers} peers are counted as ${swarm.peerCount}`)
  checkHosts(swarm)
}

function checkEdges(peer: Peer): void {
  for (const parent of peer.parents) {
    must(parent.children.has(peer), `${parent.id} does not know its child ${peer.id}`)
    must(parent.edition === peer.edition, `${peer.id} has a parent of another edition`)
    must(isLive(parent.state), `${peer.id} has the parent ${parent.id}, which is ${parent.state}`)
    must(covers(parent.range, peer.range), `${parent.id} has not all that ${peer.id} wants`)
  }
  must(
    (peer.load === undefined) === (peer.parents.size === 0),
    `${peer.id} is a load to nobody, or no load to its parents`,
  )
  for (const child of peer.children) must(child.parents.has(peer), `${child.id} does not know its parent ${peer.id}`)
}

function checkHosts(swarm: Swarm): void {
  for (const host of swarm.hosts.values()) {
    const children = [...host.peers].reduce((sum, peer) => sum + peer.children.size, 0)
    must(host.uploads.children === children, `${host.id} has ${children} children, and counts ${host.uploads.children}`)
    for (const [what, amount] of Object.entries(host.uploads)) must(amount >= 0, `${host.id} counts ${amount} ${what}`)
    if (children === 0)
      must(host.uploads.owedBytes === 0 && host.uploads.bytes === 0, `${host.id} owes bytes to nobody`)
    must(host.facts.seed === swarm.seeds.has(host), `${host.id} is listed wrongly as a seed`)
    for (const peer of host.peers)
      must(peer.task.peers.get(peer.id) === peer, `${host.id} has the forgotten ${peer.id}`)
  }
  for (const seed of swarm.seeds) must(swarm.hosts.get(seed.id) === seed, `the seed ${seed.id} is not known`)
}

/** The way that a peer remembers leads over parents, and never back to where it began. */
function checkWay(peer: Peer): void {
  const seen = new Set<Peer>([peer])
  for (let at = peer; at.via !== undefined; at = at.via) {
    must(at.parents.has(at.via), `the way of ${at.id} leads over ${at.via.id}, which is none of its parents`)
    must(!seen.has(at.via), `the way of ${peer.id} is a circle`)
    seen.add(at.via)
  }
}

function checkCrossings({ peers, crossings }: Edition): void {
  const counted = new Map<string, number>()
  for (const child of peers) {
    for (const parent of child.parents) {
      if (crosses(parent, child)) counted.set(child.idc, (counted.get(child.idc) ?? 0) + 1)
    }
  }
  const list = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .map(([idc, count]) => `${idc} ${count}`)
      .toSorted()
      .join()
  const [found, told] = [list(counted), list(crossings)]
  must(found === told, `edges between data centres: ${found}, counted as ${told}`)
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}
