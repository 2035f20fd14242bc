import { randomBytes } from 'node:crypto'
import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  open as openWith,
  unlink as unlinkWith,
} from 'node:fs'
import { chmod, copyFile, link, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Failure, makeDirs, messageOf } from '#core'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { writeAt } from './positional.ts'

const openFile = promisify(openWith)
const closeFile = promisify(close)
const remove = promisify(unlinkWith)

const COPY_LENGTH = 2 ** 20
/** Devices that were found to know no reflinks: they are not asked before each output. */
const WITHOUT_REFLINKS = new Set<bigint>()
const MOST_REMEMBERED = 64
/** What tells that the path was badly chosen, not that a disk is broken. */
const BAD_PATH = new Set('EACCES EPERM EROFS ENOTDIR EISDIR ENOENT ELOOP ENAMETOOLONG EEXIST ETXTBSY EBUSY'.split(' '))
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_WRONLY, COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants

export type OutputWay = 'reflink' | 'link' | 'copy'

/** Which bytes of the content go out, and where to. */
export interface OutputPart {
  readonly start: number
  readonly length: number
  /** The part is all there is. */
  readonly whole: boolean
  /** Put the bytes at their own offset into the file that is there. */
  readonly atOffset: boolean
}

export interface OutputContent {
  readonly path: string
  /** Fills `target` with held bytes; resolves to how many. */
  read(offset: number, target: Uint8Array): Promise<number>
  stat(): BigIntStats
  /** Makes the content file ready for a second name with this mode. False when it cannot safely have one. */
  share(mode: number): Promise<boolean>
  /** Sees that the content file ends where the content does. */
  trim(): Promise<void>
}

/** Makes an output file from a content file. Fails with `output.invalid` or `storage.full`, and leaves nothing half. */
export async function writeOutput(
  path: string,
  part: OutputPart,
  content: OutputContent,
): Promise<{ bytes: number; by: OutputWay }> {
  try {
    const existing = await existingFile(path)
    makeDirs(dirname(path), mkdirSync)
    // The output made before shares the content file: all that could be asked for is in it already.
    const sharing = existing !== undefined && isSameFile(existing, content.stat())
    if (sharing && (part.whole || part.atOffset)) return { bytes: part.length, by: 'link' }
    const by = part.atOffset ? await writeInto(path, part, content, existing) : await replace(path, part, content)
    return { bytes: part.length, by }
  } catch (error) {
    throw outputFailure(error, path)
  }
}

async function existingFile(path: string): Promise<BigIntStats | undefined> {
  if (path.endsWith('/')) throw new Failure('output.invalid', `${path} names a directory, not a file`)
  const found = await stat(path, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined || found.isFile()) return found
  throw new Failure('output.invalid', `${path} is ${found.isDirectory() ? 'a directory' : 'not a regular file'}`)
}

function isSameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/** Until the rename, whatever stood at `path` stays as it was. Each step is a way to another thread and back: there are few. */
async function replace(path: string, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  const name = `.${basename(path).slice(0, 50)}.${randomBytes(8).toString('hex')}.dfget`
  const draft = join(dirname(path), name)
  try {
    const by = await make(draft, part, content)
    await rename(draft, path)
    // Where another download has put the same file there meanwhile, renaming does nothing.
    if (by === 'link') await remove(draft).catch(() => undefined)
    return by
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

async function make(draft: string, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  const own = content.stat().dev
  const fresh = await openNew(draft)
  // What the umask leaves of 0666; on the way it is found out whether files can be made here at all.
  const { mode, dev } = fstatSync(fresh, { bigint: true })
  if (part.whole && own === dev) {
    closeSync(fresh)
    await remove(draft)
    await content.trim()
    const by = await duplicate(draft, { mode: Number(mode) & 0o777, dev }, content)
    return by ?? copy(await openNew(draft), part, content)
  }
  return copy(fresh, part, content)
}

function openNew(path: string): Promise<number> {
  return openFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
}

/** On the file system of the content there may be a way without a second copy of the bytes. */
async function duplicate(
  draft: string,
  { mode, dev }: { readonly mode: number; readonly dev: bigint },
  content: OutputContent,
): Promise<OutputWay | undefined> {
  if (!WITHOUT_REFLINKS.has(dev)) {
    if (await works(() => copyFile(content.path, draft, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE))) {
      await chmod(draft, mode)
      return 'reflink'
    }
    if (WITHOUT_REFLINKS.size < MOST_REMEMBERED) WITHOUT_REFLINKS.add(dev)
  }
  return (await content.share(mode)) && (await works(() => link(content.path, draft))) ? 'link' : undefined
}

/** Into a new file, which is closed in the end. */
async function copy(file: number, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  try {
    await copyBytes(file, part, content, part.start)
  } finally {
    await closeFile(file)
  }
  return 'copy'
}

/** Not every file system can do it: then there is another way. */
async function works(step: () => Promise<void>): Promise<boolean> {
  return step().then(
    () => true,
    () => false,
  )
}

/** The other bytes of the file stay as they are; after a failure its length does, too. */
async function writeInto(
  path: string,
  part: OutputPart,
  content: OutputContent,
  existing: BigIntStats | undefined,
): Promise<OutputWay> {
  const file = await open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o666)
  try {
    await copyBytes(file.fd, part, content, 0)
  } catch (error) {
    if (existing === undefined) await rm(path, { force: true })
    else if (Number(existing.size) < part.start + part.length) await file.truncate(Number(existing.size))
    throw error
  } finally {
    await file.close()
  }
  return 'copy'
}

/** `origin`: the offset in the content that comes first in the file. */
async function copyBytes(fd: number, part: OutputPart, content: OutputContent, origin: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(COPY_LENGTH, part.length))
  const end = part.start + part.length
  for (let offset = part.start; offset < end; ) {
    const read = await content.read(offset, buffer.subarray(0, Math.min(buffer.length, end - offset)))
    await writeAt(fd, buffer.subarray(0, read), offset - origin)
    offset += read
  }
}

function outputFailure(error: unknown, path: string): Failure {
  if (error instanceof Failure) return error
  if (!BAD_PATH.has(errnoOf(error))) return diskFailure(error, path, 'write')
  return new Failure('output.invalid', `${path} cannot be written: ${messageOf(error)}`, { cause: error })
}
