import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

/**
 * Reads which processes there are, and ends those that are left when nothing more comes. A line is `+ PID DIRECTORY` or
 * `- PID`. It hears no signal that is meant for its host.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM
all=
while read -r what pid dir; do
  if [ "$what" = + ]; then eval "dir_$pid=\\$dir"; all="$all $pid"; continue; fi
  unset "dir_$pid"; left=
  for one in $all; do [ "$one" = "$pid" ] || left="$left $one"; done
  all=$left
done
for pid in $all; do
  kill -s KILL -- "-$pid" || kill -s KILL "-$pid" || kill -s KILL "$pid"
  eval "dir=\\$dir_$pid"
  rm -rf -- "$dir"
done
`

/** A host that is killed can end nobody any more, and a plugin that spins does not notice that its host is gone. */
export class Guard {
  #input: Writable | undefined

  /** The process leads a group; the directory is its own. */
  watch(pid: number, dir: string): void {
    this.#input ??= startGuard()
    this.#tell(`+ ${pid} ${dir}`)
  }

  forget(pid: number): void {
    this.#tell(`- ${pid}`)
  }

  #tell(line: string): void {
    if (this.#input?.writable === true) this.#input.write(`${line}\n`)
  }
}

/** Without a shell, plugins are only told that their host is gone: by the end of their stdin. */
function startGuard(): Writable {
  const guard = spawn('/bin/sh', ['-c', SCRIPT, 'dragonfly-plugin-guard'], {
    cwd: '/',
    detached: true, // what ends its host's group must not end it too
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const input = guard.stdin
  guard.on('error', () => undefined)
  input.on('error', () => undefined)
  guard.unref()
  if ('unref' in input && typeof input.unref === 'function') input.unref()
  return input
}
