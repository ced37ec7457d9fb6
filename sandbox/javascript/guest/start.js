// Given to `node -e`: takes the worker's own source from its channel, so that the image needs nothing of ours.
'use strict';
{
  const { readSync } = require('fs');
  const { compileFunction } = require('vm');
  const take = (size) => {
    const octets = Buffer.alloc(size);
    for (let got = 0; got < size; ) {
      const count = readSync(3, octets, got, size - got, null);
      if (count === 0) process.exit(0);
      got += count;
    }
    return octets;
  };
  const { modules, settings } = JSON.parse(take(take(4).readUInt32BE(0)));
  // Each module holds the language's own names as they are now: a step may declare a `Map` of its own.
  const own = `Array ArrayBuffer Atomics BigInt Boolean Buffer Date Error Int32Array JSON Map Number Object
    Promise RangeError Reflect RegExp Set SharedArrayBuffer String Symbol SyntaxError TypeError Uint8Array WeakSet process`.split(/\s+/);
  const loaded = { __proto__: null };
  for (const [name, source] of modules) {
    const module = { exports: {} };
    const find = (wanted) => loaded[wanted] ?? require(wanted);
    compileFunction(source, ['require', 'module', ...own], { filename: `<sandbox.${name}>` })(
      find,
      module,
      ...own.map((global) => globalThis[global]),
    );
    loaded[`./${name}`] = module.exports;
  }
  new loaded['./session.js'].Session(settings, (name) => import(name)).serve();
}
