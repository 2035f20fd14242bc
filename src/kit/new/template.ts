import { PLUGIN_SOURCE } from './template-source.ts'
import { PLUGIN_TEST } from './template-test.ts'

export interface TemplateValues {
  readonly scheme: string
  /** Of the package that the kit comes in. */
  readonly version: string
}

/** The files of a new plugin project: text by name. */
export function templateFiles(values: TemplateValues): Readonly<Record<string, string>> {
  const { scheme } = values
  const text = (template: string): string => `${template.trim().replaceAll('SCHEME', scheme)}\n`
  return {
    'index.ts': text(PLUGIN_SOURCE),
    'index.test.mjs': text(PLUGIN_TEST),
    'package.json': json(manifest(values)),
    'tsconfig.json': json(TSCONFIG),
    '.gitignore': 'node_modules/\ndist/\n',
    'README.md': text(README),
  }
}

function manifest({ scheme, version }: TemplateValues): Readonly<Record<string, unknown>> {
  // npm allows no plus in a name; the scheme is then said to the build.
  const name = `d7y-resource-plugin-${scheme.replaceAll('+', '-')}`
  const build = `dfget plugin build${scheme.includes('+') ? ` --scheme ${scheme}` : ''}`
  return {
    name,
    version: '0.1.0',
    private: true,
    description: `Dragonfly plugin for ${scheme}:// URLs`,
    type: 'module',
    source: 'index.ts',
    main: `dist/d7y-resource-plugin-${scheme}.mjs`,
    files: ['dist'],
    scripts: { build, test: `${build} && node --test` },
    devDependencies: { 'dragonfly-ts': `^${version}` },
  }
}

/** What an editor checks by. The build itself takes the types away and looks at none. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: [],
    strict: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ['index.ts'],
}

const README = `
# SCHEME: a Dragonfly plugin

Teaches Dragonfly hosts to read \`SCHEME://\` URLs. As it was made, it reads \`SCHEME://host:port/path\` over HTTP from that
host; put your own store in the place of \`ask\` and \`stat\` in \`index.ts\`.

| file | what it is |
| --- | --- |
| \`index.ts\` | the plugin |
| \`index.test.mjs\` | what every plugin must do, asked of the built file |
| \`package.json\` | needs \`dragonfly-ts\` and nothing else; its author becomes the vendor |

\`\`\`sh
npm run build        # dist/d7y-resource-plugin-SCHEME.mjs: one file, with all that it imports; then checks it
npm test             # builds, then runs the contract suite
npx dfget plugin check dist/d7y-resource-plugin-SCHEME.mjs
npx dfget plugin test dist/d7y-resource-plugin-SCHEME.mjs --url SCHEME://localhost:8000/file   # against a live origin
npx dfget plugin install dist/d7y-resource-plugin-SCHEME.mjs
npx dfget -u SCHEME://localhost:8000/file -O file
\`\`\`

Options, under \`plugins.SCHEME\` in the configuration or as \`--plugin-option SCHEME.key=value\`:

| key | meaning |
| --- | --- |
| \`tls\` | speak https with the origin (default: false) |
| \`token\` | sent as a bearer token; write \`env:NAME\` or \`file:/path\`, and the host fills the secret in |
`

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
