import { pluginText } from './test-host.ts'

const metadata = (more: string) => `{ type: 'resource', name: 'bad', scheme: 'bad', ${more} }`
const init = (body: string) => `export function DragonflyPluginInit() { ${body} }`

/** Every way in which a plugin of the scheme `bad` can be wrong: what it is, its text, and the reason that is given. */
export const BROKEN_PLUGINS: readonly [what: string, text: string, reason: string][] = [
  ['no JavaScript', 'this is a text\n', "it cannot be loaded: Unexpected identifier 'is'"],
  ['throws while loading', "\nthrow new Error('no\\n  licence')", 'it cannot be loaded: no licence'],
  ['throws nothing', 'throw undefined', 'it cannot be loaded: undefined'],
  ['throws what has no message', 'throw Object.create(null)', 'it cannot be loaded: something that has no message'],
  [
    'needs a package that is not there',
    "import 'not-bundled'",
    "it cannot be loaded: Cannot find package 'not-bundled' imported from FILE; bundle what the plugin needs into its file",
  ],
  ['never loads', 'await new Promise(() => {})', 'loading the module did not end within 1 s'],
  ['is empty', '', 'symbol DragonflyPluginInit not found: the module exports nothing'],
  [
    'exports another name',
    'export const dragonflyPluginInit = 1, other = 2',
    'symbol DragonflyPluginInit not found: the module exports dragonflyPluginInit, other',
  ],
  [
    'exports no function',
    'export const DragonflyPluginInit = {}',
    'invalid plugin init function signature: DragonflyPluginInit is an object, expected a function',
  ],
  ['init throws', init("throw new Error('no key')"), 'DragonflyPluginInit failed: no key'],
  ['init rejects', init("return Promise.reject(new Error('no key'))"), 'DragonflyPluginInit failed: no key'],
  ['init never answers', init('return new Promise(() => {})'), 'DragonflyPluginInit did not end within 1 s'],
  ['init answers nothing', init(''), 'DragonflyPluginInit returned undefined, expected { client, metadata }'],
  ['init answers a text', init("return 'x'"), 'DragonflyPluginInit returned "x", expected { client, metadata }'],
  ['init has a trap', init("return { get metadata() { throw new Error('trap') } }"), 'reading metadata failed: trap'],
  ['no metadata', init('return { client: {} }'), 'empty plugin metadata: expected type, name and scheme'],
  ['metadata is a list', pluginText('bad', { metadata: '[]' }), 'metadata is an array, expected an object'],
  [
    'metadata is no data',
    pluginText('bad', { metadata: metadata('size: 1n') }),
    'metadata is not plain data: Do not know how to serialize a BigInt',
  ],
  [
    'metadata is endless',
    pluginText('bad', { metadata: metadata("text: 'x'.repeat(1e6)") }),
    'metadata is too long, expected at most 65536 characters of JSON',
  ],
  [
    'type is missing',
    pluginText('bad', { metadata: "{ name: 'bad', scheme: 'bad' }" }),
    'metadata.type is undefined, expected a string',
  ],
  [
    'vendor is no text',
    pluginText('bad', { metadata: metadata('vendor: 7') }),
    'metadata.vendor is a number, expected a string',
  ],
  [
    'another type',
    pluginText('bad', { metadata: metadata("type: 'manager'") }),
    'plugin type not match: metadata.type is "manager", expected "resource" after the file\'s name',
  ],
  [
    'another name',
    pluginText('bad', { metadata: metadata("name: 'good'") }),
    'plugin name not match: metadata.name is "good", expected "bad" after the file\'s name',
  ],
  [
    'another scheme',
    pluginText('bad', { metadata: metadata("scheme: 'good'") }),
    'support scheme not match: metadata.scheme is "good", expected "bad" after the file\'s name',
  ],
  [
    'apiVersion is no range',
    pluginText('bad', { metadata: metadata("apiVersion: 'new'") }),
    'metadata.apiVersion is "new", expected a semver range such as "^1.1.0"',
  ],
  [
    'made for another contract',
    pluginText('bad', { metadata: metadata("apiVersion: '^2.0.0'") }),
    'plugin was built with a different version of the contract: metadata.apiVersion is "^2.0.0", expected a range with 1.1.0',
  ],
  ['no client', pluginText('bad', { client: 'null' }), 'invalid client: client is null, expected an object'],
  [
    'the client cannot download',
    pluginText('bad', { client: "{ download: 'later' }" }),
    'invalid client, not a ResourceClient: expected an object with a function download',
  ],
]
