// Calls of the host's tools: what `await tools.search('x')` does inside of the box.
//
// A call waits without the event loop, and what the tool gives is the promise's value at once: while the host works, all
// of the box is stopped anyway, and so no call is still open when its step ends.
'use strict';

const { ANSWER, CALL, END, giveUp } = require('./channel.js');
const { packed, quoted, tooLarge, unpacked, Refused } = require('./values.js');

const { getPrototypeOf, ownKeys } = Reflect;
const prototype = Object.prototype;
const OWN = { __proto__: null, TypeError, RangeError, SyntaxError };

class HostCalls {
  constructor(channel, limits, stop) {
    this.channel = channel;
    this.limits = limits;
    this.stop = stop;
    this.step = '';
    this.count = 0;
    this.ended = false;
  }

  // A step starts; `step` is the id that its calls carry.
  begin(step) {
    this.step = step;
    this.count = 0;
    this.ended = false;
  }

  // The object `tools`.
  named(names) {
    const tools = { __proto__: null };
    for (const name of names) {
      const tool = async (...given) => this.call(name, given);
      Object.defineProperty(tool, 'name', { value: name });
      tools[name] = tool;
    }
    return tools;
  }

  call(name, given) {
    const arguments_ = this.packed(name, given);
    if (!this.ended) {
      const count = ++this.count;
      const text = `{"step":"${this.step}","call":${count},"name":${quoted(name)},${arguments_}}`;
      const size = this.channel.send(CALL, text, this.limits.frame_limit);
      if (size) throw new TypeError(`${name}() can't be given this: ${tooLarge(size, this.limits)}`);
      const { kind, message } = this.channel.receive();
      if (kind === ANSWER && message.call === count) return answered(message);
      if (kind !== END) giveUp();
      this.ended = true;
    }
    this.stop(); // the step has ended on the host: nothing of it counts any more
    throw new Error('the step has ended');
  }

  // One plain object is arguments by their names; anything else goes by position.
  packed(name, given) {
    try {
      if (given.length === 1 && isPlain(given[0])) return `"args":[],"kwargs":${byName(given[0], this.limits)}`;
      let texts = '';
      for (let place = 0; place < given.length; place++) texts += `${place ? ',' : ''}${packed(given[place], this.limits)}`;
      return `"args":[${texts}],"kwargs":{}`;
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      throw new TypeError(`${name}() can't be given this: ${refused.message}`);
    }
  }
}

function byName(given, limits) {
  let texts = '';
  for (const key of ownKeys(given)) {
    if (typeof key === 'string') texts += `${texts && ','}${quoted(key)}:${packed(given[key], limits)}`;
  }
  return `{${texts}}`;
}

function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const parent = getPrototypeOf(value);
  return parent === prototype || parent === null;
}

function answered({ error, value }) {
  if (!error) return unpacked(value);
  const raised = new (OWN[error.type] ?? Error)(error.message);
  if (!(error.type in OWN)) Object.defineProperty(raised, 'name', { value: error.type, configurable: true });
  throw raised;
}

module.exports = { HostCalls };
