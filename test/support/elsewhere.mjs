// Preloaded by test/net/elsewhere.test.ts: a machine that is no Linux, as far as programs can tell. What is Linux's own is not there.
import childProcess from "node:child_process";
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";

// compiled parts are of this machine, whatever it says it is
const require = createRequire(import.meta.url);
for (const name of ["classic-level", "secp256k1"]) require(name);

Object.defineProperty(process, "platform", { value: process.env.ELSEWHERE });
for (const name of ["getuid", "geteuid", "getgid", "setuid", "seteuid", "setgid", "setegid", "initgroups", "execve"]) delete process[name];

const isLinux = (path) => /^\/(proc|sys|run|etc)\//.test(String(path));
const refuse = (what) => {
  console.error(`not on this machine: ${what}`);
  process.exit(3);
};
for (const holder of [fs, fs.promises])
  for (const name of Object.keys(holder)) {
    const call = holder[name];
    if (typeof call !== "function" || !/^(open|read|access|exists|l?stat|write|mkdir)/.test(name)) continue;
    holder[name] = (path, ...rest) => (isLinux(path) ? refuse(`${name} ${path}`) : call.call(holder, path, ...rest));
  }
for (const name of ["spawn", "exec", "execFile", "fork", "spawnSync", "execSync", "execFileSync"])
  childProcess[name] = (what) => refuse(`${name} ${what}`);
syncBuiltinESMExports();
