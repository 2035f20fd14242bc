import { formatBytes } from '#core'
import type { Onlooker, Traffic } from './outcome.ts'

/** What is known of a running download. */
export interface Progress {
  readonly totalBytes: number | undefined
  readonly bytes: Readonly<Record<Traffic, number>>
  readonly rateBytes: number
}

/** Draws what is known, again and again. */
export interface Display {
  draw(progress: Progress): void
  close(): void
}

export interface ProgressOptions {
  readonly firstMs: number
  readonly everyMs: number
  readonly display: Display
  readonly now?: () => number
}

/** Shows a download to a person. Nothing is drawn for one that is over before `firstMs`. */
export class ProgressWatcher implements Onlooker, Disposable {
  readonly #bytes = { source: 0, peers: 0, local: 0 }
  readonly #options: ProgressOptions | undefined
  readonly #now: () => number
  readonly #samples: { at: number; bytes: number }[] = []
  #timer: NodeJS.Timeout | undefined
  #totalBytes: number | undefined
  #drawn = false

  /** Without options nothing is shown. */
  constructor(options?: ProgressOptions) {
    this.#options = options
    this.#now = options?.now ?? performance.now.bind(performance)
    if (options === undefined) return
    this.#timer = setTimeout(() => {
      this.#draw()
      this.#timer = setInterval(() => this.#draw(), options.everyMs)
      this.#timer.unref()
    }, options.firstMs)
    this.#timer.unref()
  }

  started(totalBytes: number | undefined): void {
    this.#totalBytes = totalBytes
    Object.assign(this.#bytes, { source: 0, peers: 0, local: 0 }) // a fallback begins anew
  }

  arrived(bytes: number, from: Traffic): void {
    this.#bytes[from] += bytes
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    if (!this.#drawn) return
    this.#draw()
    this.#options?.display.close()
  }

  #draw(): void {
    this.#drawn = true
    this.#options?.display.draw({ totalBytes: this.#totalBytes, bytes: this.#bytes, rateBytes: this.#rate() })
  }

  /** Bytes per second over the last few drawings. */
  #rate(): number {
    const fetched = this.#bytes.source + this.#bytes.peers
    this.#samples.push({ at: this.#now(), bytes: fetched })
    if (this.#samples.length > 10) this.#samples.shift()
    const [first] = this.#samples
    const seconds = (this.#now() - (first?.at ?? 0)) / 1000
    return seconds > 0 ? (fetched - (first?.bytes ?? 0)) / seconds : 0
  }
}

const BACK_AND_CLEAR = '\r\x1b[2K'

/** One line on a terminal, drawn over itself. */
export function openBar(terminal: NodeJS.WriteStream): Display {
  return {
    draw: (progress) => terminal.write(`${BACK_AND_CLEAR}${barLine(progress, (terminal.columns || 80) - 1)}`),
    close: () => terminal.write('\n'),
  }
}

/** A line now and then, where there is no terminal. */
export function openLines(write: (line: string) => void): Display {
  return {
    draw: (progress) =>
      write(
        `dfget: ${facts(progress)
          .filter((part) => part !== '')
          .join(', ')}\n`,
      ),
    close: () => {},
  }
}

const MAX_BAR = 30

/** `██████░░░░ 60% | 6.00 MiB of 10.0 MiB | 2.00 MiB/s | 2 s left | peers 4.00 MiB, source 2.00 MiB` */
export function barLine(progress: Progress, columns: number): string {
  const [where, rate, left, ...origins] = facts(progress)
  const text = `${[where, rate, left].filter((part) => part !== '').join(' | ')} | ${origins.join(', ')}`
  const { totalBytes } = progress
  if (totalBytes === undefined) return text.slice(0, columns)
  const share = totalBytes === 0 ? 1 : Math.min(done(progress) / totalBytes, 1)
  const width = Math.max(0, Math.min(MAX_BAR, columns - text.length - 2))
  const filled = Math.round(share * width)
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text}`.slice(0, columns)
}

function facts(progress: Progress): string[] {
  const { totalBytes, bytes, rateBytes } = progress
  const parts = [
    totalBytes === undefined ? formatBytes(done(progress)) : `${percent(progress)}% of ${formatBytes(totalBytes)}`,
    `${formatBytes(Math.round(rateBytes))}/s`,
    totalBytes === undefined || rateBytes === 0 ? '' : `${seconds((totalBytes - done(progress)) / rateBytes)} left`,
    `peers ${formatBytes(bytes.peers)}`,
    `source ${formatBytes(bytes.source)}`,
  ]
  if (bytes.local > 0) parts.push(`here ${formatBytes(bytes.local)}`)
  return parts
}

function done({ bytes }: Progress): number {
  return bytes.source + bytes.peers + bytes.local
}

function percent(progress: Progress): number {
  const { totalBytes } = progress
  return totalBytes ? Math.min(100, Math.floor((done(progress) / totalBytes) * 100)) : 100
}

function seconds(value: number): string {
  const whole = Math.max(0, Math.ceil(value))
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  return minutes < 60 ? `${minutes} m ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`
}
