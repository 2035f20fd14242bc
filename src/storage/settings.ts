import { duration, size, text } from '#core'

const MiB = 2 ** 20
const GiB = 2 ** 30

export const storageSettings = {
  dir: text('', 'Where pieces and finished tasks are kept; empty for <workhome>/storage.'),
  capacity: size(100 * GiB, 'Above this many bytes the longest unused tasks are removed.'),
  taskTtl: duration(7 * 24 * 3_600_000, 'A task that nobody used for so long is removed; 0s keeps it.'),
  bufferMemory: size(64 * MiB, 'Memory for bytes on their way to disk, shared by all downloads.'),
}
