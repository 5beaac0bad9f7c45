#!/usr/bin/env node
// Completes package-lock.json with the optional packages of other platforms.
//
// Where a registry mirror lacks them, 'npm install' leaves them out of the lock, and 'npm ci' then refuses the lock
// everywhere. Their versions stand in the packages that want them, and their names tell the platform.
import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
const { packages } = lock;
const systems = ["linux", "darwin", "win32", "android"];
const processors = { x64: "x64", amd64: "x64", arm64: "arm64" };

for (const [path, parent] of Object.entries(packages))
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if (packages[place] || packages[`${path}/${place}`]) continue;
    const words = name.split(/[-/]/);
    const os = words.find((word) => systems.includes(word));
    const cpu = words.map((word) => processors[word]).find(Boolean);
    if (!os || !cpu || !/^\d/.test(version)) throw new Error(`cannot tell the platform of ${name}@${version}`);
    const libc = words.includes("musl") && { libc: ["musl"] };
    packages[place] = { version, cpu: [cpu], ...(parent.dev && { dev: true }), ...libc, optional: true, os: [os] };
  }

const sorted = Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, "en"));
lock.packages = Object.fromEntries(sorted);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
