const LONGEST_URL = 300
const LONGEST_TEXT = 600

/** A URL as it may stand in logs and messages: no user name or password, query values replaced, bounded. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return 'a text that is no URL'
  const url = new URL(text)
  const { protocol, host, pathname } = url
  const slashes = text.slice(protocol.length).startsWith('//') || host !== '' ? '//' : ''
  const keys = [...url.searchParams.keys()].map((key) => `${encodeURIComponent(key)}=***`)
  const query = keys.length > 0 ? `?${keys.join('&')}` : ''
  return cut(`${protocol}${slashes}${host}${pathname}${query}`, LONGEST_URL)
}

/** A text of somebody else's, such as a plugin's error: one line, bounded, every URL in it redacted. */
export function redactText(text: string): string {
  const line = text
    .slice(0, 4 * LONGEST_TEXT)
    // oxlint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .replaceAll(
      /([a-z][a-z0-9+.-]*:\/\/\S+?)(["'`<>()\],.;:!]*)(?=\s|$)/gi,
      (_, url: string, end: string) => redactUrl(url) + end,
    )
  return cut(line.trim(), LONGEST_TEXT)
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}
