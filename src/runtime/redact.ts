const HIDDEN = '[hidden]'
const SECRET_KEY = /authorization|cookie|password|passwd|secret|token|credential|api[-_]?key/i
const HEADERS_KEY = /^(request|response)?headers?$/i
const MAX_DEPTH = 6

/**
 * A URL as a log or a message may show it: user, password and the values of query parameters are left out. Object
 * stores and registries carry signatures there.
 */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') {
    url.username = HIDDEN
    url.password = ''
  }
  const query = [...url.searchParams.keys()].map((key) => `${encodeURIComponent(key)}=…`).join('&')
  url.search = ''
  url.hash = ''
  return `${url.toString().replace(encodeURIComponent(HIDDEN), HIDDEN)}${query === '' ? '' : `?${query}`}`
}

/** The fields of a log line without what must not be written down: header values, credentials, query values of URLs. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactRecord(fields, 0)
}

function redactRecord(record: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, redactValue(key, value, depth)]))
}

function redactValue(key: string, value: unknown, depth: number): unknown {
  if (value === undefined || value === null) return value
  if (SECRET_KEY.test(key)) return HIDDEN
  if (HEADERS_KEY.test(key)) return typeof value === 'object' ? hideValues(value) : HIDDEN
  if (value instanceof Error) return describeError(value)
  if (typeof value === 'string') return value.includes('://') ? redactUrls(value) : value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value instanceof Date) return value
  if (depth >= MAX_DEPTH) return '[deep]'
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.map((entry) => redactValue('', entry, depth + 1))
  return redactRecord(value, depth + 1)
}

/** Every URL inside a text, redacted. */
export function redactUrls(text: string): string {
  return text.replaceAll(/[a-z][a-z0-9+.-]*:\/\/[^\s"'<>]+/gi, redactUrl)
}

function hideValues(headers: object): Record<string, string> {
  return Object.fromEntries(Object.keys(headers).map((name) => [name, HIDDEN]))
}

/** An error as a log line shows it; the stack only where the error was not foreseen. */
function describeError(error: Error, depth = 0): Record<string, unknown> {
  const code = (error as { code?: unknown }).code
  const described: Record<string, unknown> = { name: error.name, message: redactUrls(error.message) }
  if (code !== undefined) described['code'] = code
  if (error.name !== 'Failure' && error.stack !== undefined) described['stack'] = redactUrls(error.stack)
  if (error.cause instanceof Error && depth < MAX_DEPTH) described['cause'] = describeError(error.cause, depth + 1)
  if (error instanceof AggregateError && depth < MAX_DEPTH)
    described['errors'] = error.errors
      .filter((inner) => inner instanceof Error)
      .map((inner) => describeError(inner, depth + 1))
  return described
}
