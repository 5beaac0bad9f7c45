#!/usr/bin/env node
// Makes a clone ready to run: npm packages, a Node that is new enough, and, for root on Debian and Ubuntu, system packages.
//
// Plain JavaScript for Node 18 without a dependency, for it runs before there is any. It says on stderr what it does, is done
// at once where nothing is missing, and touches neither routes nor firewall of the host.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const needed = [24, 7];
/** apt package by the tool it brings */
const tools = {
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
  nft: "nftables",
  ip: "iproute2",
  conntrack: "conntrack",
};
/** what could not be installed is tried again after this long: without a network each try takes its time */
const retryMs = 3_600_000;
const triedFile = join(modules, ".cache", "mystnode-setup.json");
/** the lockfile's hash after a full 'npm ci', which begins by removing it */
const installedFile = join(modules, ".mystnode-setup");

const say = (text) => process.stderr.write(`setup: ${text}\n`);
const fail = (text, hint) => {
  process.stderr.write(`error: ${text}\n  ${hint}\n`);
  process.exit(1);
};
const readJson = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
};

const toInstall = () => ({ packages: !packagesMatch(), tools: missingTools() });
const isRoot = process.getuid?.() === 0;
const canInstallTools = isRoot && process.platform === "linux" && onPath("apt-get");

const before = toInstall();
const mayInstallTools = before.tools.length > 0 && canInstallTools && !triedLately(before.tools);
if ((before.packages || mayInstallTools) && !process.env.MYSTNODE_SETUP_LOCKED && onPath("flock")) {
  // one at a time: flock's lock on the directory ends with whoever holds it, however that ends
  const underLock = (...wait) =>
    spawnSync("flock", [...wait, join(root, "scripts"), process.execPath, fileURLToPath(import.meta.url)], {
      stdio: ["ignore", 2, "inherit"],
      env: { ...process.env, MYSTNODE_SETUP_LOCKED: "1" },
    }).status;
  let status = underLock("-n", "-E", "75");
  if (status === 75) {
    say("waiting for another set-up of this directory ...");
    status = underLock("-w", "900");
  }
  process.exit(status ?? 1);
}

if (before.packages) installPackages();
linkNode();
if (mayInstallTools) installTools(before.tools);
checkNode();
const missing = missingTools();
if (missing.length > 0 && process.platform === "linux") {
  const names = missing.map((tool) => tools[tool]).join(" ");
  say(`for the wireguard service install: ${isRoot ? "" : "sudo "}apt-get install ${names} (the proxy service works without)`);
}

/** Is what npm last installed what the lockfile asks for on this machine? */
function packagesMatch() {
  const wanted = readJson(join(root, "package-lock.json"))?.packages;
  const installed = readJson(join(modules, ".package-lock.json"))?.packages;
  if (!wanted) fail("package-lock.json cannot be read", "restore it: git checkout package-lock.json");
  if (!installed) return false;
  const same = (path) => installed[path]?.version === wanted[path]?.version && installed[path]?.integrity === wanted[path]?.integrity;
  if (!Object.keys(installed).every(same)) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "" || !suits(entry)) return true;
    if (installed[path]) return existsSync(join(root, path, "package.json"));
    return Boolean(entry.optional && (!entry.os || isStamped()));
  });
}

/** Optional packages that a registry does not have must not be asked for on every start. */
function isStamped() {
  return existsSync(installedFile) && readFileSync(installedFile, "utf8") === lockHash();
}

function lockHash() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

function suits({ os, cpu, libc }) {
  const allows = (list, value) => list === undefined || [list].flat().includes(value);
  return allows(os, process.platform) && allows(cpu, process.arch) && (libc === undefined || allows(libc, libcName()));
}

function libcName() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
}

function installPackages() {
  say("installing npm packages, a minute or so ...");
  // no package needs its install script: binaries are in the packages, and npm 9 runs the scripts before these are there
  const args = ["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--prefer-offline"];
  args.push("--loglevel=error", "--no-update-notifier");
  const npm = process.env.npm_execpath;
  const viaScript = npm && /\.c?js$/.test(npm);
  const ran = spawnSync(viaScript ? process.execPath : "npm", viaScript ? [npm, ...args] : args, {
    cwd: root,
    stdio: ["ignore", 2, "inherit"],
  });
  if (ran.status !== 0)
    fail("npm could not install the packages", "see npm's message above; once that is mended, run the same command again");
  writeFileSync(installedFile, lockHash());
}

/** npm 10 removes node_modules/.bin/node along with the packages for other platforms; npm scripts look for node there. */
function linkNode() {
  const own = join("..", `node-${process.platform}-${process.arch}`, "bin", "node");
  const link = join(modules, ".bin", "node");
  if (!existsSync(join(dirname(link), own)) || existsSync(link)) return;
  try {
    symlinkSync(own, link);
  } catch (error) {
    if (error.code !== "EEXIST") say(`cannot make ${link}: ${error.message}`);
  }
}

function checkNode() {
  const found = spawnSync("node", ["--version"], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${join(modules, ".bin")}${delimiter}${process.env.PATH}` },
  }).stdout;
  const [major = 0, minor = 0] = (found ?? "").replace("v", "").split(".").map(Number);
  if (major > needed[0] || (major === needed[0] && minor >= needed[1])) return;
  fail(
    `Node ${needed.join(".")} or newer is needed; found ${found?.trim() || "none"}, and npm has none for ${process.platform} on ${process.arch}`,
    "install a newer Node from your system's packages, then run the same command again",
  );
}

function onPath(tool) {
  const places = `${process.env.PATH ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return places.some((place) => place && isFile(join(place, tool)));
}

/** PATH may name places that one may not look into. */
function isFile(path) {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function missingTools() {
  return process.platform === "linux" ? Object.keys(tools).filter((tool) => !onPath(tool)) : [];
}

function triedLately(wanted) {
  const tried = readJson(triedFile);
  return Boolean(tried && Date.now() - tried.atMs < retryMs && wanted.every((tool) => tried.tools.includes(tool)));
}

/** Installs all at once, else one by one, so that one that this release lacks does not keep out the others. */
function installTools(wanted) {
  const names = wanted.map((tool) => tools[tool]);
  say(`installing ${names.join(" ")} ...`);
  const options = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"];
  const apt = (...args) =>
    spawnSync("apt-get", [...options, ...args], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" },
    }).status === 0;
  const install = (...packages) => apt("install", "-y", "--no-install-recommends", ...packages);
  const listed = spawnSync("apt-cache", ["show", "--no-all-versions", ...names], { stdio: "ignore" }).status === 0;
  let done = listed && install(...names);
  if (!done && apt("update")) done = install(...names);
  if (!done) for (const name of names) install(name);
  const left = missingTools();
  if (left.length === 0) return;
  try {
    mkdirSync(dirname(triedFile), { recursive: true });
    writeFileSync(triedFile, JSON.stringify({ atMs: Date.now(), tools: left }));
  } catch {
    // then it is tried again next time
  }
}
