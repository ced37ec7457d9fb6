// `setTimeout` and its like, for which a callback is a turn: it can be interrupted, and its error is the step's.
'use strict';

const { promisify } = require('util');

const { apply } = Reflect;
let generation = 0;

// Replace the globals; `turn` runs an action.
function install(turn) {
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
    const replaced = inTurns(globalThis[name], name === 'setImmediate' ? 0 : 1, turn);
    Object.defineProperty(replaced, 'name', { value: name });
    globalThis[name] = replaced;
  }
}

// The timer with its callback in turns; before the callback's own arguments there are `own` of the timer's.
function inTurns(original, own, turn) {
  const replaced = function (callback, ...given) {
    if (typeof callback !== 'function') return original(callback, ...given); // which says what is wrong
    const born = generation;
    const timer = original(() => {
      if (born === generation) turn(() => apply(callback, timer, given.slice(own)));
      else clearTimeout(timer);
    }, ...given.slice(0, own));
    return timer;
  };
  replaced[promisify.custom] = original[promisify.custom];
  return replaced;
}

// Forget all that is still to come.
function forget() {
  generation++;
}

module.exports = { install, forget };
