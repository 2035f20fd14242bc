import { duration, flag, list, number, type SettingsOf, text } from '#core'

export const sourceSettings = {
  http: {
    maxConnections: number(64, 'Connections to one origin at a time.', { min: 1, max: 4096 }),
    maxRedirects: number(10, 'Redirects followed before an origin is given up.', { max: 100 }),
    direct: flag(true, 'Let plain http bodies flow from the kernel straight into the storage.'),
  },
  file: {
    roots: list(
      [],
      'Directories whose files (file:///…) may be read for other hosts too; all others stay on this host.',
    ),
  },
  tls: {
    ca: text('', 'PEM file with certificates of authorities to trust besides the well-known ones.'),
    insecure: list([], 'Hosts (host or host:port) whose certificate is not checked. Their answers can be forged.'),
  },
  retry: {
    attempts: number(10, 'Tries of a read in a row without a new byte.', { min: 1, max: 1000 }),
    probeAttempts: number(4, 'Tries of a question, or of a read whose answer is nonsense from the start.', {
      min: 1,
      max: 1000,
    }),
    firstDelay: duration(200, 'Pause before the second try; it doubles with each further one.'),
    maxDelay: duration(10_000, 'The longest pause between two tries.'),
  },
  idleTimeout: duration(30_000, 'A read to which no byte comes for so long is tried anew; 0 for never.'),
  describeTimeout: duration(60_000, 'How long an origin may take to describe a resource, all tries together.'),
}

export type SourceSettings = SettingsOf<typeof sourceSettings>
