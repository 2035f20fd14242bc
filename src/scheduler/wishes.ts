import { Download } from '#api'
import type { Task } from './swarm/model.ts'
import { seedDownload } from './wake-seeds.ts'

/** What a seed is to be told should it be woken for this child. Most children of a task want the same, word by word. */
export function keepWish(task: Task, download: Download): Download {
  const wish = seedDownload(download)
  const bytes = Download.encode(wish).finish()
  if (task.lastWish === undefined || Buffer.compare(task.lastWish.bytes, bytes) !== 0)
    task.lastWish = { bytes, download: wish }
  return task.lastWish.download
}
