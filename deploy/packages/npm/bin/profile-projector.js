#!/usr/bin/env node
// The command: runs the program of this platform and ends as it ends.
"use strict";
const { spawn } = require("node:child_process");
const { findBinary } = require("../dist/index.js");

let binary;
try {
  binary = findBinary();
} catch (problem) {
  console.error(problem.message);
  process.exit(1);
}
const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (problem) => {
  console.error(`${binary} cannot be run: ${problem.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code ?? 1);
  }
});
