import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { formatBytes, messageOf } from '#core'
import {
  type FoundPlugin,
  foundAt,
  type InspectOptions,
  inspectPlugin,
  type ListedPlugin,
  type PluginFacts,
} from '#plugin'
import { type Finding, type Severity, worstOf } from './findings.ts'
import { metadataFindings } from './metadata-findings.ts'
import { methodFindings } from './method-findings.ts'
import { permissionsFinding } from './permissions-finding.ts'
import { stepOf, stepsBefore } from './steps.ts'

/** All that can be said of one plugin file. */
export interface FileReport {
  readonly path: string
  readonly findings: readonly Finding[]
  /** The worst of them. */
  readonly severity: Severity
}

/** Looks at a plugin file as a host does before it uses it, and says what it finds. Runs the plugin, apart. Never fails. */
export async function checkFile(path: string, how: InspectOptions): Promise<FileReport> {
  const findings = await findingsOf(path, how)
  return { path, findings, severity: worstOf(findings) }
}

async function findingsOf(path: string, how: InspectOptions): Promise<Finding[]> {
  let found: FoundPlugin
  try {
    await stat(path)
    found = await foundAt(path)
  } catch (error) {
    return [{ severity: 'error', about: 'file', text: messageOf(error) }]
  }
  const warnings: Finding[] = []
  const warn = (text: string): void => void warnings.push({ severity: 'warning', about: 'module', text })
  const listed = await inspectPlugin(found, { ...how, warn })
  return [...(await verdictOn(listed)), ...warnings]
}

async function verdictOn(listed: ListedPlugin): Promise<Finding[]> {
  const file = await fileFinding(listed.found, listed.facts)
  if (listed.state === 'good') {
    return [
      ...file,
      { severity: 'ok', about: 'module', text: 'can be loaded' },
      { severity: 'ok', about: 'init', text: 'DragonflyPluginInit gives a client and metadata' },
      optionsFinding(listed.plugin.hasSchema),
      permissionsFinding(listed.plugin, listed.facts.granted),
      ...metadataFindings(listed.plugin.metadata),
      ...methodFindings(listed.found.type, listed.plugin.methods),
    ]
  }
  if (listed.state === 'unused') return [...file, { severity: 'warning', about: 'file', text: listed.reason }]
  const step = stepOf(listed.code, listed.reason)
  const passed = stepsBefore(step).map((about): Finding => ({ severity: 'ok', about, text: 'as it should be' }))
  const wrong: Finding = { severity: 'error', about: step, text: listed.reason }
  return [...file, ...passed, wrong]
}

async function fileFinding(found: FoundPlugin, facts: PluginFacts): Promise<Finding[]> {
  const path = facts.file ?? found.path
  const stats = await stat(path).catch(() => undefined)
  if (stats === undefined) return []
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0')
  const text = `${formatBytes(stats.size)}, sha256 ${facts.sha256 ?? 'unknown'}, owner ${ownerName(stats.uid)}, mode ${mode}`
  const own: Finding = { severity: 'ok', about: 'file', text }
  if (!facts.linked) return [own]
  return [own, { severity: 'note', about: 'file', text: `is a link to ${path}, outside of its directory` }]
}

function ownerName(uid: number): string {
  if (uid === 0) return 'root'
  try {
    const user = userInfo()
    if (user.uid === uid) return user.username
  } catch {
    // A user without a name.
  }
  return `uid ${uid}`
}

function optionsFinding(hasSchema: boolean): Finding {
  if (hasSchema)
    return { severity: 'ok', about: 'options', text: 'those given are what DragonflyPluginOptions asks for' }
  const text = 'no DragonflyPluginOptions: a host hands over whatever is configured, unchecked'
  return { severity: 'note', about: 'options', text }
}
