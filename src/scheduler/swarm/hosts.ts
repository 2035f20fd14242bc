import type { Host, HostFacts } from './model.ts'
import { SmallSet } from './small-set.ts'

/** That many different hosts in a row make a host suspect: one liar alone cannot. */
const COMPLAINTS_TO_SUSPECT = 3
const MAX_COMPLAINTS = 16

export function newHost(facts: HostFacts, nowMs: number): Host {
  return {
    id: facts.id,
    facts,
    announcedAtMs: nowMs,
    touchedAtMs: nowMs,
    peers: new Set(),
    uploads: { children: 0, pieces: 0, bytes: 0, owedBytes: 0 },
    complaints: new SmallSet(),
    written: undefined,
    downUntilMs: 0,
  }
}

/** `reporter` could not fetch from `host`. */
export function complain(host: Host, reporter: Host): void {
  if (host.complaints.size < MAX_COMPLAINTS) host.complaints.add(reporter.id)
}

/** Several hosts could not fetch from it, and none could since. */
export function isSuspect(host: Host): boolean {
  return host.complaints.size >= COMPLAINTS_TO_SUSPECT
}

export function hasRoom(host: Host): boolean {
  return host.uploads.children < host.facts.uploadLimit
}
