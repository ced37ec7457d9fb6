// The process that runs the user's JavaScript: one namespace, one step after another.
//
// User code runs in turns: the step itself, and each of its timers. A turn is a script that SIGINT can end, with all that
// it has put off for a moment (`await`, `process.nextTick`), so a loop costs its step and not the session. Between two
// steps this waits outside of the event loop: what a step left behind goes on during the next one, and can't be heard
// before.
'use strict';

const vm = require('vm');

const { HostCalls } = require('./calls.js');
const channel = require('./channel.js');
const { described } = require('./failures.js');
const { Originals } = require('./originals.js');
const { opened } = require('./printing.js');
const { compiled } = require('./source.js');
const { shown, tooLarge, unpacked, quoted } = require('./values.js');
const timers = require('./timers.js');

const SETTLED = 600; // milliseconds in which what an interrupted step has put off must come to an end
const TURN = '__turn';
const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
const { on, removeAllListeners } = require('events').prototype;
const later = setImmediate;
const kill = process.kill.bind(process);
const { pid } = process;
const handleUncaught = process.setUncaughtExceptionCaptureCallback.bind(process);
const drain = process._tickCallback.bind(process);
const { wait } = Atomics;
const pause = new Int32Array(new SharedArrayBuffer(4));

class Session {
  constructor(settings, load) {
    this.settings = settings;
    this.load = load;
    this.calls = new HostCalls(channel, settings, stopHere);
    this.sources = new Map();
    this.declared = new Set();
    this.tools = this.calls.named([]);
    this.step = null;
    this.action = null;
    this.turning = false;
    this.entrance = new vm.Script(`${TURN}()`, { filename: '<sandbox>' });
    defineProperty(globalThis, TURN, { value: () => this.act() });
    timers.install((action) => {
      this.turn(action);
      this.advance();
    });
    globalThis.console = opened();
    this.originals = new Originals();
  }

  serve() {
    channel.send(channel.HELLO, `{"node":${quoted(process.version)}}`);
    this.next();
  }

  // Take steps, until one of them waits for something: then the event loop has its turn.
  next() {
    do {
      const { kind, message } = channel.receive();
      if (kind !== channel.EXECUTE) channel.giveUp();
      try {
        this.begin(message);
      } catch {
        channel.giveUp(); // an error of the step would have been caught in its turn: this is one of ours
      }
    } while (this.finished());
  }

  // Go on to the next step if this one has ended.
  advance() {
    if (this.finished()) this.next();
  }

  begin(message) {
    this.restore();
    this.bind(message);
    this.calls.begin(message.id);
    const filename = `step-${this.sources.size + 1}.js`;
    this.sources.set(filename, message.code);
    this.step = { __proto__: null, id: message.id, filename, answer: null, failed: false };
    this.turn(() => this.start(message.code, filename));
  }

  restore() {
    if (!this.originals.restore(this.declared)) channel.giveUp();
    handleUncaught(null);
    for (const [event, listener] of this.listeners()) {
      apply(removeAllListeners, process, [event]);
      apply(on, process, [event, listener]);
    }
  }

  listeners() {
    this.heard ??= [
      ['SIGINT', () => this.interrupt()],
      ['SIGUSR2', () => this.step !== null && this.interrupt()],
      ['beforeExit', () => this.idle()],
      ['unhandledRejection', (reason) => this.fail(reason)],
      ['uncaughtException', (error) => this.fail(error)],
    ];
    return this.heard;
  }

  bind(message) {
    if (message.tools) this.tools = this.calls.named(message.tools);
    globalize('tools', this.tools);
    const variables = message.variables ?? {};
    for (const name of Object.keys(variables)) {
      this.declared.add(name);
      globalize(name, unpacked(variables[name]));
    }
  }

  // A turn of the user's code

  turn(action) {
    this.action = action;
    this.turning = true;
    try {
      this.entrance.runInThisContext({ breakOnSigint: true, displayErrors: false });
    } catch (error) {
      if (error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') this.interrupt();
      else this.fail(error);
    }
    this.turning = false;
  }

  act() {
    const { action } = this;
    this.action = null;
    if (action === null) return;
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
    drain();
  }

  start(code, filename) {
    const { names, functions, body } = this.originals.within(this.declared, () => compiled(code, filename, this.load));
    for (const name of names) {
      this.declared.add(name);
      declare(name);
    }
    functions?.runInThisContext();
    this.settle(body.runInThisContext(), this.step);
  }

  async settle(promise, step) {
    try {
      const result = await promise;
      if (this.step !== step) return;
      this.restoreForOurselves();
      this.end(step, `"value":${shown(result?.value, this.settings)}`);
    } catch (error) {
      if (this.step === step) this.fail(error);
    }
  }

  restoreForOurselves() {
    if (!this.originals.restoreOurs()) channel.giveUp();
  }

  // The ends of a step

  fail(error) {
    const { step } = this;
    if (step === null) return;
    this.restoreForOurselves();
    const { text, line } = described(error, step.filename, this.sources);
    if (!step.failed) step.answer = null; // a promise that was rejected unseen counts, also after the last line
    step.failed = true;
    this.end(step, `"error":{"text":${quoted(text)},"line":${line}}`);
  }

  end(step, answer) {
    if (this.step !== step) return;
    step.answer ??= answer;
    if (!this.turning) later(() => this.advance()); // `begin`, or the timer, looks after its turn
  }

  // The time is up, or the host has its final answer: the worker stays only if it can be brought to rest.
  interrupt() {
    if (process._exiting) channel.giveUp(); // on its way out, which nothing can take back
    timers.forget();
    try {
      this.action = () => probe();
      this.entrance.runInThisContext({ timeout: SETTLED, breakOnSigint: true });
    } catch {
      channel.giveUp();
    }
    this.fail(new Error('interrupted'));
  }

  // The event loop has nothing left, and the step still waits.
  idle() {
    this.fail(new Error('the step waits for a promise that nothing can settle any more'));
  }

  finished() {
    const { step } = this;
    if (step === null || step.answer === null) return false;
    this.step = null;
    const size = this.say(step, step.answer);
    if (size) this.say(step, `"value":${quoted(`<the value can't be shown: ${tooLarge(size, this.settings)}>`)}`);
    return true;
  }

  say(step, answer) {
    return channel.send(channel.DONE, `{"id":${quoted(step.id)},${answer}}`, this.settings.frame_limit);
  }
}

function globalize(name, value) {
  if (!defineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true })) {
    globalThis[name] = value;
  }
}

// Have a global of this name that can be assigned to; its value stays.
function declare(name) {
  const now = getOwnPropertyDescriptor(globalThis, name);
  if (now === undefined || !now.writable) globalize(name, now?.value);
}

// A little of what every step does: it takes long where a hook of the user's is in the way.
async function probe() {
  await null;
}

function stopHere() {
  kill(pid, 'SIGINT');
  wait(pause, 0, 0, 1_000); // the signal ends what runs here
}

module.exports = { Session };
