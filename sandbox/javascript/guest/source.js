// A step's text as scripts that V8 can run: top-level `await`, `return` and `import` work, the last expression is the
// step's value, and what is declared at the top is there in the next step.
//
// The text is parsed by the acorn that is part of Node, and edited in place, so lines and columns of errors are those of
// the text as it was written. Declarations at the top become assignments to globals, which may be declared again later.
'use strict';

const vm = require('vm');

const { LINE } = require('./failures.js');

const OPTIONS = {
  __proto__: null,
  ecmaVersion: 'latest',
  allowAwaitOutsideFunction: true,
  allowReturnOutsideFunction: true,
  allowImportExportEverywhere: true,
  allowHashBang: true,
};
const BEFORE = '(async () => {';
const AFTER = '\n})()';
const VALUE = 'return { __proto__: null, value: await (';
const AsyncFunction = (async () => {}).constructor;
const parser = found();

function found() {
  for (const name of ['internal/deps/acorn/acorn/dist/acorn', 'acorn']) {
    try {
      return require(name);
    } catch {
      continue;
    }
  }
  return null;
}

// Compile a step. Returns `functions`, a script or null, to be run before `body`, a script that gives a promise; and the
// `names` that the step declares. Throws a SyntaxError with the line it is in.
function compiled(text, filename, load) {
  const code = text.replace(/^#!/, '//');
  const script = (part, columnOffset) => new vm.Script(part, { filename, importModuleDynamically: load, columnOffset });
  const { program, mistake } = parsed(code);
  if (mistake) check(code, mistake);
  const parts = program ? new Rewriting(code, program).result() : { names: [], functions: null, body: code };
  try {
    return {
      names: parts.names,
      functions: parts.functions && script(parts.functions, 0),
      body: script(BEFORE + parts.body + AFTER, -BEFORE.length),
    };
  } catch (error) {
    const line = new RegExp(`^${filename}:(\\d+)`).exec(error.stack)?.[1];
    throw syntaxError(error.message, Number(line) || null);
  }
}

function parsed(code) {
  try {
    return { program: parser && parser.parse(code, OPTIONS) };
  } catch (mistake) {
    return { mistake };
  }
}

// What the parser doesn't take is a mistake, for which V8 has better words; or a language that is newer than the parser: it
// runs as the body of a function then, and its names are not kept.
function check(code, mistake) {
  try {
    new AsyncFunction(code); // and not a script with our text around it, which the code's own brackets could close
  } catch (error) {
    const ended = mistake.pos >= code.trimEnd().length && error.message.includes("'}'");
    // In a function V8 says of an `import` with a mistake in it only that it may not be there.
    const said = error.message.includes('import') ? mistake.message.replace(/ \(\d+:\d+\)$/, '') : error.message;
    throw syntaxError(ended ? 'Unexpected end of input' : said, mistake.loc?.line ?? null);
  }
}

class Rewriting {
  constructor(code, program) {
    this.code = code;
    this.program = program;
    this.edits = [];
    this.names = new Set();
    this.functions = [];
  }

  result() {
    const { body } = this.program;
    const last = body.filter((node) => node.type !== 'EmptyStatement' && node.type !== 'FunctionDeclaration').at(-1);
    for (const node of body) this.top(node, node === last);
    return { names: [...this.names], body: this.edited(), functions: this.onlyFunctions() };
  }

  top(node, isLast) {
    switch (node.type) {
      case 'FunctionDeclaration':
        this.functions.push(node);
        return this.replace(node.start, node.end, '');
      case 'ClassDeclaration':
        this.names.add(node.id.name);
        this.insert(node.start, `void (${node.id.name} = `);
        return this.insert(node.end, ');');
      case 'VariableDeclaration':
        return this.declaration(node);
      case 'ImportDeclaration':
        return this.replace(node.start, node.end, this.imported(node));
      case 'ExpressionStatement':
        return isLast ? this.value(node) : undefined;
      default:
        if (node.type.startsWith('Export')) throw notExported(node, this.code);
        return this.inside(node);
    }
  }

  // Statements within a statement of the top: their `var` and `return` belong to the step too.
  inside(node) {
    if (!node || typeof node !== 'object') return;
    switch (node.type) {
      case 'VariableDeclaration':
        return node.kind === 'var' ? this.declaration(node) : undefined;
      case 'ReturnStatement':
        return this.returned(node);
      case 'ForStatement':
      case 'ForInStatement':
      case 'ForOfStatement':
        this.head(node.init ?? node.left);
        return this.inside(node.body);
      default:
        for (const part of PARTS[node.type] ?? []) [node[part]].flat().forEach((each) => this.inside(each));
    }
  }

  declaration(node) {
    const declarators = node.declarations;
    this.replace(node.start, declarators[0].start, 'void (');
    for (const each of declarators) this.declarator(each, node.kind);
    const end = declarators.at(-1).end;
    this.insert(end, this.code[node.end - 1] === ';' && node.end > end ? ')' : ');');
  }

  declarator(node, kind) {
    this.declare(node.id);
    if (!node.init && kind !== 'var') this.insert(node.end, ' = undefined');
  }

  // `for (var i = 0, …)` and `for (var x of …)`: the name is the step's.
  head(node) {
    if (node?.type !== 'VariableDeclaration' || node.kind !== 'var') return;
    this.replace(node.start, node.declarations[0].start, '');
    for (const each of node.declarations) this.declarator(each, 'var');
  }

  value(node) {
    this.insert(node.start, VALUE);
    this.insert(this.code[node.end - 1] === ';' ? node.end - 1 : node.end, ') }');
  }

  returned(node) {
    if (!node.argument) return;
    this.replace(node.start, node.argument.start, `${VALUE}${this.code.slice(node.start + 6, node.argument.start)}`);
    this.insert(this.code[node.end - 1] === ';' ? node.end - 1 : node.end, ') }');
  }

  imported(node) {
    const module = `await import(${node.source.raw})`;
    const whole = node.specifiers.find((each) => each.type === 'ImportNamespaceSpecifier');
    const picked = node.specifiers.filter((each) => each !== whole).map((each) => {
      this.names.add(each.local.name);
      return `${each.imported ? nameOf(each.imported) : 'default'}: ${each.local.name}`;
    });
    if (whole) this.names.add(whole.local.name);
    const source = whole ? `(${whole.local.name} = ${module})` : module;
    return `void (${picked.length ? `{ ${picked.join(', ')} } = ` : ''}${source});`;
  }

  declare(pattern) {
    switch (pattern?.type) {
      case 'Identifier':
        return this.names.add(pattern.name);
      case 'ObjectPattern':
        return pattern.properties.forEach((each) => this.declare(each.value ?? each.argument));
      case 'ArrayPattern':
        return pattern.elements.forEach((each) => this.declare(each));
      case 'AssignmentPattern':
        return this.declare(pattern.left);
      case 'RestElement':
        return this.declare(pattern.argument);
    }
  }

  insert(place, text) {
    this.edits.push({ start: place, end: place, text });
  }

  // Lines that go are left empty.
  replace(start, end, text) {
    this.edits.push({ start, end, text: text + blank(this.code.slice(start, end), '').slice(lines(text)) });
  }

  edited() {
    let text = '';
    let from = 0;
    for (const edit of this.edits.sort((one, other) => one.start - other.start || one.end - other.end)) {
      text += this.code.slice(from, edit.start) + edit.text;
      from = edit.end;
    }
    return text + this.code.slice(from);
  }

  // The declarations of functions alone, each in its place: as a script they are known in all of the step, and later.
  onlyFunctions() {
    if (!this.functions.length) return null;
    const strict = this.program.body[0]?.directive === 'use strict' ? [this.program.body[0]] : [];
    let text = '';
    let from = 0;
    for (const { start, end } of [...strict, ...this.functions]) {
      text += blank(this.code.slice(from, start), ' ') + this.code.slice(start, end);
      from = end;
    }
    return text;
  }
}

const PARTS = {
  __proto__: null,
  BlockStatement: ['body'],
  IfStatement: ['consequent', 'alternate'],
  WhileStatement: ['body'],
  DoWhileStatement: ['body'],
  LabeledStatement: ['body'],
  WithStatement: ['body'],
  TryStatement: ['block', 'handler', 'finalizer'],
  CatchClause: ['body'],
  SwitchStatement: ['cases'],
  SwitchCase: ['consequent'],
};

const blank = (text, filling) => text.replace(/[^\n\r\u2028\u2029]/g, filling);
const lines = (text) => blank(text, '').length;
const nameOf = (node) => (node.type === 'Identifier' ? node.name : node.raw);

function notExported(node, code) {
  const line = code.slice(0, node.start).split('\n').length;
  return syntaxError("'export' has no meaning here: a step is no module, its names are kept anyway", line);
}

function syntaxError(message, line) {
  return Object.assign(new SyntaxError(message), { [LINE]: line });
}

module.exports = { compiled };
