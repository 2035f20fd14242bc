import { randomBytes } from 'node:crypto'
import { type BigIntStats, constants, mkdirSync } from 'node:fs'
import { chmod, copyFile, type FileHandle, link, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { writeAt } from './positional.ts'

const COPY_LENGTH = 2 ** 20
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

/** Until the rename, whatever stood at `path` stays as it was. */
async function replace(path: string, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  const name = `.${basename(path).slice(0, 50)}.${randomBytes(8).toString('hex')}.dfget`
  const draft = join(dirname(path), name)
  try {
    const mode = await modeOfNewFiles(draft)
    const by = part.whole ? await duplicate(draft, mode, part, content) : await copy(draft, part, content)
    await rename(draft, path)
    return by
  } finally {
    await rm(draft, { force: true })
  }
}

/** What the umask leaves of 0666; finds out on the way whether files can be made here at all. */
async function modeOfNewFiles(path: string): Promise<number> {
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
  try {
    return (await file.stat()).mode & 0o777
  } finally {
    await file.close()
    await rm(path, { force: true })
  }
}

async function duplicate(draft: string, mode: number, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  await content.trim()
  if (await works(() => copyFile(content.path, draft, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE))) {
    await chmod(draft, mode)
    return 'reflink'
  }
  if (await isSameFileSystem(draft, content)) {
    if ((await content.share(mode)) && (await works(() => link(content.path, draft)))) return 'link'
  }
  return copy(draft, part, content)
}

async function isSameFileSystem(draft: string, content: OutputContent): Promise<boolean> {
  return (await stat(dirname(draft), { bigint: true })).dev === content.stat().dev
}

/** Not every file system can do it: then there is another way. */
async function works(step: () => Promise<void>): Promise<boolean> {
  return step().then(
    () => true,
    () => false,
  )
}

async function copy(draft: string, part: OutputPart, content: OutputContent): Promise<OutputWay> {
  const file = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
  try {
    await copyBytes(file, part, content, part.start)
  } finally {
    await file.close()
  }
  return 'copy'
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
    await copyBytes(file, part, content, 0)
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
async function copyBytes(file: FileHandle, part: OutputPart, content: OutputContent, origin: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(COPY_LENGTH, part.length))
  const end = part.start + part.length
  for (let offset = part.start; offset < end; ) {
    const read = await content.read(offset, buffer.subarray(0, Math.min(buffer.length, end - offset)))
    await writeAt(file.fd, buffer.subarray(0, read), offset - origin)
    offset += read
  }
}

function outputFailure(error: unknown, path: string): Failure {
  if (error instanceof Failure) return error
  if (!BAD_PATH.has(errnoOf(error))) return diskFailure(error, path, 'write')
  return new Failure('output.invalid', `${path} cannot be written: ${messageOf(error)}`, { cause: error })
}
