// Values across the boundary: the JSON with tags that host and Python guest speak, written as text at once.
//
// Whatever is packed may fight back with getters, proxies and `toJSON`: depth and size are bounded, kinds are asked for by
// internal slots, and all of it runs where the time limit reaches it.
'use strict';

const { inspect, types } = require('util');

const SAFE = Number.MAX_SAFE_INTEGER;
const MAX_INT_BITS = 14_000;
const ITEM = 8;
const SHOWN = 10_000;
const quote = JSON.stringify;
const { apply, getPrototypeOf, ownKeys } = Reflect;
const { isArray } = Array;
const mapForEach = Map.prototype.forEach;
const setForEach = Set.prototype.forEach;
const isoOf = Date.prototype.toISOString;
const timeOf = Date.prototype.getTime;
const enumerable = Object.prototype.propertyIsEnumerable;
const surrogate = /\p{Surrogate}/gu;

class Refused extends TypeError {}
Object.defineProperty(Refused.prototype, 'name', { value: 'TypeError' });

// Text without lone surrogates, which UTF-8 can't carry.
function clean(text) {
  return text.replace(surrogate, '\ufffd');
}

const quoted = (text) => quote(clean(text));

// Of values that are each within their limit, but written, and together, are too much.
const tooLarge = (size, limits) => `it takes ${size} bytes on its way, and ${limits.frame_limit} may pass at once`;

// The value as JSON text. Throws `Refused` for a kind, depth or size that can't cross.
function packed(value, limits) {
  return new Packing(limits).of(value, 0);
}

// The value as JSON text, or a text about it where there is none.
function shown(value, limits) {
  try {
    return packed(value, limits);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    return quoted(described(value, refused));
  }
}

function described(value, refused) {
  let text;
  try {
    text = inspect(value, { depth: 3, maxStringLength: SHOWN, customInspect: false });
  } catch {
    return `<${kindOf(value)}: ${refused.message}>`;
  }
  if (text.length <= SHOWN) return text;
  const more = text.length - SHOWN;
  return `${text.slice(0, SHOWN)}… (${more} more characters of a ${kindOf(value)}; ${refused.message})`;
}

function kindOf(value) {
  if (value === null || typeof value !== 'object') return typeof value;
  try {
    return String(value.constructor?.name || 'object').slice(0, 80);
  } catch {
    return 'object';
  }
}

class Packing {
  constructor(limits) {
    this.depth = limits.value_depth;
    this.limit = limits.value_limit;
    this.left = limits.value_limit;
  }

  of(value, depth) {
    if (depth > this.depth) throw new Refused(`the value is cyclic or nested more than ${this.depth} deep`);
    this.charge(ITEM);
    switch (typeof value) {
      case 'undefined':
        return 'null';
      case 'boolean':
        return value ? 'true' : 'false';
      case 'number':
        return number(value);
      case 'bigint':
        return integer(value);
      case 'string':
        return this.text(value);
      case 'object':
        return value === null ? 'null' : this.object(value, depth);
      default:
        throw this.refusal(value);
    }
  }

  charge(size) {
    this.left -= size;
    if (this.left < 0) throw new Refused(`the value is too large, more than ${this.limit} bytes`);
  }

  refusal(value) {
    return new Refused(`a ${kindOf(value)} can't cross the sandbox's boundary`);
  }

  text(value) {
    this.charge(value.length);
    return quoted(value);
  }

  object(value, depth) {
    if (isArray(value)) return this.list(value, depth);
    if (types.isDate(value)) return this.text(date(value));
    if (types.isMap(value)) return this.map(value, depth);
    if (types.isSet(value)) return this.set(value, depth);
    if (types.isUint8Array(value)) return this.octets(value.buffer, value.byteOffset, value.byteLength);
    if (types.isAnyArrayBuffer(value)) return this.octets(value, 0, value.byteLength);
    if (ArrayBuffer.isView(value) && !types.isDataView(value)) return this.list(value, depth);
    if (types.isBoxedPrimitive(value)) return this.of(value.valueOf(), depth + 1);
    if (types.isNativeError(value) || types.isRegExp(value)) return this.text(String(value));
    if (REFUSED.some((refuses) => refuses(value))) throw this.refusal(value);
    return this.record(value, depth);
  }

  octets(buffer, start, size) {
    this.charge(size);
    return tagged('bytes', quote(Buffer.from(buffer, start, size).toString('base64')));
  }

  list(value, depth) {
    const { length } = value;
    this.charge(ITEM * length);
    let text = '[';
    for (let place = 0; place < length; place++) text += `${place ? ',' : ''}${this.of(value[place], depth + 1)}`;
    return `${text}]`;
  }

  // A set, if its items can be those of a set of the host's; a list otherwise.
  set(value, depth) {
    let text = '';
    let hashable = true;
    apply(setForEach, value, [(item) => {
      hashable &&= isHashable(item);
      text += `${text && ','}${this.of(item, depth + 1)}`;
    }]);
    return hashable ? tagged('set', `[${text}]`) : `[${text}]`;
  }

  map(value, depth) {
    let text = '';
    apply(mapForEach, value, [(item, key) => {
      if (!isHashable(key)) throw new Refused(`a Map with a key of type ${kindOf(key)} can't cross the sandbox's boundary`);
      text += `${text && ','}[${this.of(key, depth + 1)},${this.of(item, depth + 1)}]`;
    }]);
    return tagged('dict', `[${text}]`);
  }

  // A plain object, or an instance of a class of the code's own: its own enumerable properties.
  record(value, depth) {
    const prototype = getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null && typeof value.toJSON === 'function') {
      return this.of(value.toJSON(), depth + 1);
    }
    let text = '';
    let pairs = '';
    let plain = true;
    for (const key of ownKeys(value)) {
      if (typeof key === 'symbol' || !apply(enumerable, value, [key])) continue;
      plain &&= key !== '$';
      this.charge(ITEM);
      const name = this.text(key);
      const item = this.of(value[key], depth + 1);
      text += `${text && ','}${name}:${item}`;
      pairs += `${pairs && ','}[${name},${item}]`;
    }
    return plain ? `{${text}}` : tagged('dict', `[${pairs}]`);
  }
}

const REFUSED = [
  types.isPromise,
  types.isProxy,
  types.isWeakMap,
  types.isWeakSet,
  types.isExternal,
  types.isGeneratorObject,
  types.isDataView,
  types.isModuleNamespaceObject,
];

const tagged = (tag, text) => `{"$":"${tag}","v":${text}}`;

function number(value) {
  if (value !== value) return tagged('float', '"nan"');
  if (value === Infinity) return tagged('float', '"inf"');
  if (value === -Infinity) return tagged('float', '"-inf"');
  if (value === 0 && 1 / value < 0) return '-0.0';
  const text = `${value}`;
  return value % 1 === 0 && (value > SAFE || value < -SAFE) && !text.includes('e') ? `${text}.0` : text;
}

function integer(value) {
  const text = value.toString();
  if (text.length * 3 > MAX_INT_BITS) {
    throw new Refused(`a bigint of ${text.length} digits can't cross the sandbox's boundary`);
  }
  return text;
}

function date(value) {
  const time = apply(timeOf, value, []);
  return time === time ? apply(isoOf, value, []) : 'Invalid Date';
}

function isHashable(value) {
  return value === null || (typeof value !== 'object' && typeof value !== 'function') || types.isDate(value);
}

// What the host sent, which it has checked: objects and arrays are changed in place.
function unpacked(value) {
  if (typeof value !== 'object' || value === null) return value;
  if (isArray(value)) {
    for (let place = 0; place < value.length; place++) value[place] = unpacked(value[place]);
    return value;
  }
  if (Object.hasOwn(value, '$')) return ofTag(value.$, value.v);
  // A key `__proto__` is a property of its own here, as JSON.parse made it, and stays one.
  for (const key of ownKeys(value)) value[key] = unpacked(value[key]);
  return value;
}

function ofTag(tag, content) {
  switch (tag) {
    case 'tuple':
      return unpacked(content);
    case 'set':
    case 'frozenset':
      return new Set(unpacked(content));
    case 'bytes':
      return Buffer.from(content, 'base64');
    case 'float':
      return { __proto__: null, nan: NaN, inf: Infinity, '-inf': -Infinity }[content];
    case 'int':
      return BigInt(content);
    case 'dict':
      return dictionary(unpacked(content));
    default:
      throw new TypeError(`a value of kind ${tag} can't be one of JavaScript`);
  }
}

// An object where all keys are text, a Map otherwise.
function dictionary(pairs) {
  if (!pairs.every(([key]) => typeof key === 'string')) return new Map(pairs);
  return Object.fromEntries(pairs);
}

module.exports = { packed, shown, tooLarge, unpacked, quoted, Refused };
