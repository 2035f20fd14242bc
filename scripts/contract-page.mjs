// The reference of the plugin contract: what the declarations and their comments say, as a page.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'

/** The files behind `dragonfly-ts/source` and `dragonfly-ts/source/testing`, in the order of the page. */
const PARTS = [
  ['src/source/contract.ts', 'The contract', 'Types and constants; from `dragonfly-ts/source`.'],
  ['src/source/response.ts', 'Making a response', 'From `dragonfly-ts/source`.'],
  ['src/source/source-error.ts', 'Errors', 'From `dragonfly-ts/source`.'],
  ['src/source/http-date.ts', 'Dates', 'From `dragonfly-ts/source`.'],
  ['src/source/testing.ts', 'The contract suite', 'From `dragonfly-ts/source/testing`.'],
  ['src/plugin/sdk.ts', 'The other two kinds', 'Types for evaluators and searchers; from `dragonfly-ts/plugin`.'],
]

export function contractPage(root) {
  const sections = PARTS.filter(([file]) => existsSync(join(root, file))).flatMap(([file, title, from]) => [
    `## ${title}`,
    from,
    ...describe(join(root, file)),
  ])
  return `${[
    '# The plugin contract',
    '<!-- Written by `npm run docs` from the types themselves; `bin/check generated` keeps it so. -->',
    'Every type, constant and function that a plugin author meets, as declared in the sources, with their comments. How to use them is told in [the guide](plugins.md).',
    ...sections,
  ].join('\n\n')}\n`
}

function describe(file) {
  const declared = declaredIn(file)
  const groups = declared.reduce((made, one) => {
    const last = made.at(-1)
    if (last?.[0].row !== undefined && one.row !== undefined && last[0].kind === one.kind) last.push(one)
    else made.push([one])
    return made
  }, [])
  return groups.flatMap((group) => (group[0].row === undefined ? group[0].parts : [rowsOf(group)]))
}

/** What a file exports, also of others; with `names`, only these. */
function declaredIn(file, names) {
  const text = readFileSync(file, 'utf8')
  const { program, comments, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0].message}`)
  const source = { text, docs: comments.filter(({ type, value }) => type === 'Block' && value.startsWith('*')) }
  return program.body.flatMap((node) => {
    if (node.type !== 'ExportNamedDeclaration') return []
    if (node.source === null) return exportedBy(node, source).filter(({ name }) => names?.includes(name) ?? true)
    const wanted = node.specifiers.map(({ local }) => local.name)
    return declaredIn(join(dirname(file), node.source.value), wanted)
  })
}

/** Constants and functions stand in tables, one below the other; types have a heading each. */
function rowsOf(group) {
  const { kind } = group[0]
  const head = kind === 'constant' ? ['constant', 'value', ''] : ['function', 'gives', '']
  return table(
    head,
    group.map(({ row }) => row),
  )
}

function exportedBy(node, source) {
  if (node.declaration === null) return []
  const { declaration } = node
  const doc = docBefore(node.start, source)
  switch (declaration.type) {
    case 'VariableDeclaration':
      return declaration.declarations.map(({ id, init }) => ({
        name: id.name,
        kind: 'constant',
        row: [code(id.name), code(slice(init, source)), doc],
      }))
    case 'FunctionDeclaration':
    case 'TSDeclareFunction':
      return [{ name: declaration.id.name, kind: 'function', row: [...signature(declaration, source), doc] }]
    case 'TSInterfaceDeclaration':
      return [
        { name: declaration.id.name, parts: titled(declaration, doc, membersTable(declaration.body.body, source)) },
      ]
    case 'ClassDeclaration':
      return [
        { name: declaration.id.name, parts: titled(declaration, doc, membersTable(declaration.body.body, source)) },
      ]
    case 'TSTypeAliasDeclaration':
      return [
        { name: declaration.id.name, parts: titled(declaration, doc, aliasOf(declaration.typeAnnotation, source)) },
      ]
    default:
      throw new Error(`the page of the contract cannot show a ${declaration.type}`)
  }
}

function titled({ id }, doc, body) {
  return [`### ${id.name}`, doc, body].filter((part) => part !== '')
}

function membersTable(members, source) {
  const rows = members.flatMap((member) => {
    const row = memberRow(member, source)
    return row === undefined ? [] : [[...row, docBefore(member.start, source)]]
  })
  return table(['member', 'type', ''], rows)
}

/** Name with a question mark where it may be left out, and the type as written. */
function memberRow(member, source) {
  switch (member.type) {
    case 'TSPropertySignature':
    case 'PropertyDefinition': {
      const type = member.typeAnnotation?.typeAnnotation ?? member.value
      return [named(member), code(slice(type, source))]
    }
    case 'TSMethodSignature':
      return [named(member), code(callable(member, source))]
    case 'MethodDefinition':
      return member.kind === 'constructor' ? ['`new`', code(parameters(member.value, source))] : undefined
    case 'TSIndexSignature':
      return ['any other key', code(slice(member.typeAnnotation.typeAnnotation, source))]
    default:
      throw new Error(`the page of the contract cannot show a ${member.type}`)
  }
}

function named({ key, optional }) {
  return code(`${key.name ?? key.value}${optional ? '?' : ''}`)
}

/** A union whose members have comments is a table; any other type is shown as it is written. */
function aliasOf(type, source) {
  const parts = type.type === 'TSUnionType' ? type.types.map((one) => [one, docBefore(one.start, source)]) : []
  if (parts.every(([, doc]) => doc === '')) return code(slice(type, source), 'fenced')
  return table(
    ['value', ''],
    parts.map(([one, doc]) => [code(slice(one, source)), doc]),
  )
}

function signature(declaration, source) {
  return [
    code(`${declaration.id.name}${parameters(declaration, source)}`),
    code(slice(declaration.returnType?.typeAnnotation, source)),
  ]
}

function callable(node, source) {
  return `${parameters(node, source)} => ${slice(node.returnType?.typeAnnotation, source)}`
}

function parameters(node, source) {
  return `(${node.params.map((one) => slice(one, source)).join(', ')})`
}

/** What is written there, on one line and without comments. */
function slice(node, { text }) {
  if (node === undefined || node === null) return ''
  return text
    .slice(node.start, node.end)
    .replaceAll(/\/\*\*?[^]*?\*\//g, '')
    .replaceAll(/([^\s{(,|&;])\s*\n\s*(?![\s})|&])/g, '$1; ')
    .replaceAll(/\s+/g, ' ')
    .replace(/^\| /, '')
}

/** The comment right before a place; `|` may stand between, where the members of a union do. */
function docBefore(place, { text, docs }) {
  const doc = docs.findLast(({ end }) => end <= place)
  if (doc === undefined || !/^[\s|]*$/.test(text.slice(doc.end, place))) return ''
  if (/\n\s*\n/.test(text.slice(doc.end, place))) return ''
  return doc.value
    .split('\n')
    .map((line) => line.replace(/^\s*\*+\s?/, '').trim())
    .join(' ')
    .trim()
}

function code(text, form) {
  if (form === 'fenced') return `\`\`\`ts\n${text}\n\`\`\``
  return text === '' ? '' : `\`${text.replaceAll('|', '\\|')}\``
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  const cells = (row) => row.map((cell) => (cell.startsWith('`') ? cell : cell.replaceAll('|', '\\|')))
  return [line(head), line(head.map(() => '---')), ...rows.map((row) => line(cells(row)))].join('\n')
}
