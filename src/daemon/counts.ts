import type { MetricTable, Sample } from '#runtime'
import type { TaskStore } from '#storage'

/** What a daemon counts of itself; names as v2.0.2 has them where the meaning is the same. */
export const daemonMetrics = {
  dragonfly_dfdaemon_peer_task_total: { kind: 'counter', help: 'Downloads begun.', labels: [] },
  dragonfly_dfdaemon_peer_task_failed_total: {
    kind: 'counter',
    help: 'Downloads that failed, by failure code.',
    labels: ['code'],
  },
  dragonfly_dfdaemon_peer_task_cache_hit_total: {
    kind: 'counter',
    help: 'Downloads whose bytes were all on this host before.',
    labels: [],
  },
  dragonfly_dfdaemon_piece_task_total: {
    kind: 'counter',
    help: 'Pieces brought here: p2p or back_to_source.',
    labels: ['type'],
  },
  dragonfly_dfdaemon_piece_task_failed_total: {
    kind: 'counter',
    help: 'Pieces that a parent did not give, by failure code.',
    labels: ['code'],
  },
  dragonfly_dfdaemon_traffic_bytes_total: {
    kind: 'counter',
    help: 'Bytes brought here: p2p or back_to_source.',
    labels: ['type'],
  },
  dragonfly_dfdaemon_back_to_source_total: {
    kind: 'counter',
    help: 'Times an origin was read, by URL scheme.',
    labels: ['scheme'],
  },
  dragonfly_dfdaemon_upload_piece_total: { kind: 'counter', help: 'Pieces given to children.', labels: [] },
  dragonfly_dfdaemon_upload_bytes_total: { kind: 'counter', help: 'Bytes given to children.', labels: [] },
  dragonfly_dfdaemon_storage_bytes: { kind: 'gauge', help: 'Bytes held on disk.', labels: [] },
  dragonfly_dfdaemon_storage_tasks: { kind: 'gauge', help: 'Tasks on disk, finished or not.', labels: [] },
} as const satisfies MetricTable

export type DaemonMetric = keyof typeof daemonMetrics

/** Counts in plain numbers: nothing is loaded and nothing is formatted before somebody asks. */
export class Counts {
  readonly #values = new Map<string, { name: DaemonMetric; labels: Readonly<Record<string, string>>; value: number }>()

  add(name: DaemonMetric, by = 1, labels: Readonly<Record<string, string>> = {}): void {
    const key = `${name} ${Object.values(labels).join(' ')}`
    const known = this.#values.get(key)
    if (known !== undefined) known.value += by
    else this.#values.set(key, { name, labels, value: by })
  }

  samples(store: Pick<TaskStore, 'heldBytes' | 'list'>): Sample[] {
    return [
      ...this.#values.values(),
      { name: 'dragonfly_dfdaemon_storage_bytes', labels: {}, value: store.heldBytes },
      { name: 'dragonfly_dfdaemon_storage_tasks', labels: {}, value: store.list().length },
    ]
  }
}
