// The console of the user's code: Node's own formats, written at once and in order.
'use strict';

const { Console } = require('console');
const { writeSync } = require('fs');

const { from } = Buffer;
const { wait } = Atomics;
const pause = new Int32Array(new SharedArrayBuffer(4));

// A stream as far as a console needs one.
function stream(descriptor) {
  return {
    write(text) {
      const octets = from(text, 'utf8');
      let sent = 0;
      while (sent < octets.length) {
        try {
          sent += writeSync(descriptor, octets, sent, octets.length - sent, null);
        } catch (error) {
          if (error.code !== 'EAGAIN') throw error;
          wait(pause, 0, 0, 1); // somebody opened the pipe as a stream that doesn't wait
        }
      }
      return true;
    },
  };
}

// A console that writes to the two descriptors.
function opened() {
  return new Console({ stdout: stream(1), stderr: stream(2), ignoreErrors: false, colorMode: false });
}

module.exports = { opened };
