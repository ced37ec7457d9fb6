// The worker's end of its channel: whole frames in, whole frames out, both without the event loop.
//
// While the worker waits here every process of the box is stopped, so there is nothing that an event loop could do. Reads
// and writes are held by name: code that replaces `fs.readSync` breaks only its own use of it.
'use strict';

const { readSync, writeSync } = require('fs');

const DESCRIPTOR = 3;
const HEADER = 5;
const HARNESS_FAILED = 70;
const exit = process.reallyExit.bind(process);
const parse = JSON.parse;
const { allocUnsafe, from } = Buffer;

// Give up: the supervisor knows this status, and starts a fresh worker.
function giveUp() {
  exit(HARNESS_FAILED);
}

function exactly(size) {
  const octets = allocUnsafe(size);
  let got = 0;
  while (got < size) {
    const count = readSync(DESCRIPTOR, octets, got, size - got, null);
    if (count === 0) exit(0);
    got += count;
  }
  return octets;
}

// Wait for the next frame: `{kind, message}`, kind as the number of its letter.
function receive() {
  try {
    const header = exactly(HEADER);
    const size = ((header[0] << 24) | (header[1] << 16) | (header[2] << 8) | header[3]) >>> 0;
    return { __proto__: null, kind: header[4], message: parse(exactly(size).toString('utf8')) };
  } catch {
    return giveUp();
  }
}

// Send one frame; nothing, if it is larger than the supervisor would pass on: returns what its size is then, else 0.
// Its text is JSON already: `JSON.stringify` would ask every object for a `toJSON` of the user's.
function send(kind, text, limit = Infinity) {
  try {
    const payload = from(text, 'utf8');
    const size = payload.length;
    if (size > limit) return size;
    const octets = allocUnsafe(HEADER + size);
    for (let place = 0; place < 4; place++) octets[place] = (size >>> (24 - 8 * place)) & 0xff;
    octets[4] = kind;
    octets.set(payload, HEADER);
    let sent = 0;
    while (sent < octets.length) sent += writeSync(DESCRIPTOR, octets, sent, octets.length - sent, null);
    return 0;
  } catch {
    return giveUp();
  }
}

const letter = (text) => text.charCodeAt(0);

module.exports = {
  receive,
  send,
  giveUp,
  EXECUTE: letter('x'),
  ANSWER: letter('a'),
  END: letter('e'),
  CALL: letter('c'),
  DONE: letter('d'),
  HELLO: letter('h'),
};
