// The language's own objects, as they were before the first step: each step starts with them again.
//
// What a step did to `JSON`, to `Promise.prototype.then` or to `console` ends with it; what it added, such as
// `Array.prototype.last`, stays, unless it was added to all objects. The machinery shares these objects with the user's
// code, and needs them.
'use strict';

const { apply, defineProperty, deleteProperty, getOwnPropertyDescriptor } = Reflect;
const { getPrototypeOf, isExtensible, ownKeys, setPrototypeOf } = Reflect;
const same = Object.is;
const has = Set.prototype.has;

const NAMES = [
  'Object', 'Function', 'Array', 'String', 'Number', 'Boolean', 'Symbol', 'BigInt', 'Promise', 'Map', 'Set', 'WeakMap',
  'WeakSet', 'Date', 'RegExp', 'Error', 'TypeError', 'RangeError', 'SyntaxError', 'ArrayBuffer', 'SharedArrayBuffer',
  'Uint8Array', 'Buffer', 'JSON', 'Math', 'Reflect', 'Atomics', 'console',
];

// What values and errors are put into words with.
const OURS = [
  Object.prototype,
  Array.prototype,
  String.prototype,
  RegExp.prototype,
  Map.prototype,
  Buffer,
  Buffer.prototype,
  getPrototypeOf([][Symbol.iterator]()),
];

function hidden() {
  const step = async () => {};
  const generator = function* () {};
  return [
    getPrototypeOf(step),
    getPrototypeOf(generator),
    getPrototypeOf(generator.prototype),
    getPrototypeOf(generator()),
    getPrototypeOf(Uint8Array),
    getPrototypeOf(Uint8Array.prototype),
    getPrototypeOf([][Symbol.iterator]()),
    getPrototypeOf(new Map()[Symbol.iterator]()),
    getPrototypeOf(new Set()[Symbol.iterator]()),
    getPrototypeOf(''[Symbol.iterator]()),
    process,
    getPrototypeOf(process),
    require('events').prototype,
    require('fs'),
    require('vm'),
    require('vm').Script.prototype,
    getPrototypeOf(require('vm').Script.prototype),
    require('util'),
    require('util').types,
  ];
}

function photographed(object) {
  const properties = [];
  for (const key of ownKeys(object)) {
    // Without a prototype: somebody might put a `get` on all objects.
    const is = { __proto__: null, ...getOwnPropertyDescriptor(object, key) };
    properties.push({ __proto__: null, key, is, plain: 'value' in is });
  }
  return { __proto__: null, object, properties, prototype: getPrototypeOf(object) };
}

class Originals {
  constructor() {
    this.objects = [];
    for (const name of NAMES) {
      const found = globalThis[name];
      this.objects.push(photographed(found));
      if (typeof found === 'function' && found.prototype) this.objects.push(photographed(found.prototype));
    }
    for (const found of hidden()) this.objects.push(photographed(found));
    this.ours = this.objects.filter(({ object }) => OURS.includes(object));
    this.objects.push({ __proto__: null, object: globalThis, properties: [], prototype: getPrototypeOf(globalThis) });
    this.globals = photographed(globalThis).properties;
    this.kept = [Object.prototype, process].map((object) => ({ __proto__: null, object, keys: new Set(ownKeys(object)) }));
  }

  // Run what relies on the language's own names, although the user has declared some of them.
  within(declared, action) {
    const theirs = [];
    for (const property of this.globals) {
      if (!apply(has, declared, [property.key])) continue;
      theirs.push({ __proto__: null, key: property.key, is: getOwnPropertyDescriptor(globalThis, property.key) });
      defineProperty(globalThis, property.key, property.is);
    }
    try {
      return action();
    } finally {
      for (const { key, is } of theirs) defineProperty(globalThis, key, is);
    }
  }

  // Put back what was changed. Returns whether all of it could be.
  restore(declared) {
    let whole = isExtensible(globalThis) && allRestored(this.objects);
    for (let at = 0; at < this.globals.length; at++) {
      const property = this.globals[at];
      if (!apply(has, declared, [property.key])) whole = restored(globalThis, property) && whole;
    }
    return this.withoutAdditions() && whole;
  }

  // The same within a step, for what our own code needs to tell how it ended.
  restoreOurs() {
    const whole = allRestored(this.ours);
    return this.withoutAdditions() && whole;
  }

  withoutAdditions() {
    let whole = true;
    for (let at = 0; at < this.kept.length; at++) whole = withoutAdditions(this.kept[at]) && whole;
    return whole;
  }
}

function allRestored(objects) {
  let whole = true;
  for (let place = 0; place < objects.length; place++) {
    const { object, properties, prototype } = objects[place];
    for (let at = 0; at < properties.length; at++) whole = restored(object, properties[at]) && whole;
    if (getPrototypeOf(object) !== prototype) whole = setPrototypeOf(object, prototype) && whole;
  }
  return whole;
}

// Take off what was added to all objects, and what hides methods of `process`.
function withoutAdditions({ object, keys }) {
  const inherited = getPrototypeOf(object) ?? object;
  const now = ownKeys(object);
  let whole = true;
  for (let at = 0; at < now.length; at++) {
    if (!apply(has, keys, [now[at]]) && now[at] in inherited) whole = deleteProperty(object, now[at]) && whole;
  }
  return whole;
}

// A value is read and not looked up with its attributes, which takes twice as long; there are a thousand of them.
function restored(object, { key, is, plain }) {
  if (plain && object[key] === is.value) return true;
  const now = getOwnPropertyDescriptor(object, key);
  if (now !== undefined && now.get === is.get && now.set === is.set && same(now.value, is.value)) return true;
  return defineProperty(object, key, is);
}

module.exports = { Originals };
