// An error of the user's code as text for whoever wrote it: the lines of its own steps, then name and message.
'use strict';

const { inspect, types } = require('util');

const LINE = Symbol('line of a syntax error');
const MESSAGE_LIMIT = 6_000;
const PLACES = 20;
const LINE_LIMIT = 200;
const STACK_LIMIT = 100_000;
const PLACE = /^ +at (?:async )?(?:(.*?) \()?(step-\d+\.js):(\d+):(\d+)\)?$/gm;

// What the host is told: `text`, which ends with name and message, and `line` of this step, counted from 1, or null.
function described(error, filename, sources) {
  const places = placesOf(error, sources);
  const here = places.find((place) => place.file === filename);
  const shown = places.length <= PLACES ? places : [...places.slice(0, PLACES / 2), ...places.slice(-PLACES / 2)];
  const lines = shown.reverse().map((place) => placed(place, filename, sources));
  if (types.isNativeError(error) && Number.isInteger(error[LINE])) {
    return { text: placed({ line: error[LINE], file: filename }, filename, sources) + message(error), line: error[LINE] };
  }
  return { text: lines.join('') + message(error), line: here ? here.line : null };
}

function placesOf(error, sources) {
  let stack = '';
  try {
    stack = types.isNativeError(error) ? String(error.stack).slice(-STACK_LIMIT) : '';
  } catch {
    // its stack fights back: there is none then
  }
  const places = Array.from(stack.matchAll(PLACE), ([, name, file, line]) => ({ name, file, line: Number(line) }));
  return places.filter(({ file, line }) => line <= linesOf(sources.get(file)).length); // ours ends after the last line
}

function placed({ name, file, line }, filename, sources) {
  const step = file === filename ? 'this step' : 'an earlier step';
  const text = linesOf(sources.get(file))[line - 1]?.trim();
  const inside = name ? `, in ${name.slice(0, LINE_LIMIT)}` : '';
  return `  at ${step}, line ${line}${inside}\n${text ? `    ${text.slice(0, LINE_LIMIT)}\n` : ''}`;
}

function linesOf(source) {
  return source === undefined ? [] : source.split(/\r\n|[\n\r\u2028\u2029]/);
}

function message(error) {
  let text;
  try {
    text = types.isNativeError(error) ? named(error) : `Uncaught ${inspect(error, { depth: 2 })}`;
  } catch {
    text = "Error: (the error's message can't be printed)";
  }
  return text.length <= MESSAGE_LIMIT
    ? text
    : `${text.slice(0, MESSAGE_LIMIT)}… (${text.length - MESSAGE_LIMIT} more)`;
}

function named(error) {
  const text = `${error.name}: ${error.message}`;
  const errors = Array.isArray(error.errors) ? error.errors.slice(0, 5).map((each) => `${each}`) : [];
  const cause = error.cause === undefined ? [] : [`caused by ${error.cause}`];
  return [...errors, ...cause, text].join('\n');
}

module.exports = { described, LINE };
