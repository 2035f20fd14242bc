/**
 * Makes a directory and what is missing above it, with the given `mkdir` of one level. Node's own recursive mkdir never
 * comes back where a file system answers ENOENT for a parent that is there, as below /proc.
 */
export function makeDirs(path: string, mkdir: (path: string) => void): void {
  const parent = path.replace(/\/+[^/]*\/*$/, '') || '/'
  try {
    makeOne(path, mkdir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error
    makeDirs(parent, mkdir)
    makeOne(path, mkdir)
  }
}

function makeOne(path: string, mkdir: (path: string) => void): void {
  try {
    mkdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
