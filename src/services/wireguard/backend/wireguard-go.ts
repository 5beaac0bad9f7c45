import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../../lib/errors.ts";
import type { BackendKind, DeviceConfig, WgBackend, WgDevice } from "../types.ts";
import { createDevice } from "./device.ts";
import { type Driver, uapiDriver, wgDriver } from "./driver.ts";
import { startGuard } from "./guard.ts";
import { toolVersion } from "./kernel.ts";
import { runTool, toolMissing, toolPath } from "./run-tool.ts";
import { connectUapi, uapiPath } from "./uapi-socket.ts";
import { udpSockets } from "./udp-sockets.ts";

const startMs = 5000;
const bindMs = 1000;
const stopGraceMs = 1000;
/** what it may hold before it collects its garbage in earnest; without it a burst of traffic stays on its heap */
const memoryLimit = "256MiB";

/**
 * WireGuard in a process of its own: where the kernel has no module. It runs in the foreground as our child, dies with us, and is
 * configured by its socket; or by `wg`, which tests do where no kernel module is there to exercise that way.
 */
export function wireguardGoBackend(configuredBy: "uapi" | "wg" = "uapi"): WgBackend {
  const kind: BackendKind = configuredBy === "wg" ? "wireguard-go-wg" : "wireguard-go";
  return {
    kind,
    probe: async () => {
      if (process.platform !== "linux") return { ok: false, reason: "this is not Linux" };
      try {
        const version = toolVersion(await runTool("wireguard-go", ["--version"]));
        if (configuredBy === "wg") await runTool("wg", ["--version"]);
        closeSync(openSync("/dev/net/tun", "r+"));
        return { ok: true, ...(version && { version }) };
      } catch (error) {
        return { ok: false, reason: reasonOf(error) };
      }
    },
    open: (config) => open(config, configuredBy),
  };
}

async function open(
  { ifname, mtu, whileBinding = (work) => work(), ...keys }: DeviceConfig,
  configuredBy: "uapi" | "wg",
): Promise<WgDevice> {
  const tunnel = startTunnel(ifname);
  let driver: Driver | undefined;
  try {
    await tunnel.ready();
    const configured = configuredBy === "wg" ? wgDriver(ifname) : await uapiDriver(ifname);
    driver = configured;
    await driver.configure(keys);
    const listenPort = await whileBinding(async () => {
      await runTool("ip", ["link", "set", ifname, "mtu", String(mtu), "up"]);
      return bound(configured);
    });
    return createDevice({ ifname, driver, listenPort, gone: tunnel.gone, remove: tunnel.stop });
  } catch (error) {
    driver?.close();
    await tunnel.stop();
    throw error;
  }
}

/** The port it listens on: it makes its sockets when it learns that its interface is up. */
async function bound(driver: Driver): Promise<number> {
  const end = performance.now() + bindMs;
  for (;;) {
    const { listenPort } = await driver.read();
    if (performance.now() > end || udpSockets(listenPort).length > 0) return listenPort;
    await wait(2);
  }
}

function startTunnel(ifname: string) {
  const child = spawn("wireguard-go", ["-f", ifname], {
    env: { PATH: toolPath, WG_PROCESS_FOREGROUND: "1", LOG_LEVEL: "error", GOMEMLIMIT: memoryLimit },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let words = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      words = (words + chunk).slice(-2000);
    });
  const failed = new Promise<never>((_, reject) =>
    child.once("error", (cause: NodeJS.ErrnoException) =>
      reject(cause.code === "ENOENT" ? toolMissing("wireguard-go") : new MystError("INTERNAL", "cannot run wireguard-go", { cause })),
    ),
  );
  failed.catch(() => undefined);
  const guard = child.pid === undefined ? undefined : startGuard(child.pid);
  const gone = new Promise<string>((resolve) =>
    child.once("exit", (status, signal) => {
      guard?.end();
      resolve(`the tunnel process ended (${signal ?? status})`);
    }),
  );
  const ready = async () => {
    const end = performance.now() + startMs;
    while (!(await isListening(ifname))) {
      if (isOver(child)) throw startError(ifname, words);
      if (performance.now() > end) throw new MystError("INTERNAL", `wireguard-go was not ready within ${startMs} ms`);
      await wait(2);
    }
    if (isOver(child)) throw startError(ifname, words);
  };
  const stop = async () => {
    if (child.pid === undefined || isOver(child)) return;
    const ended = once(child, "exit");
    const late = setTimeout(() => child.kill("SIGKILL"), stopGraceMs);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(late);
  };
  return { ready: () => Promise.race([ready(), failed]), gone, stop };
}

const isOver = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

async function isListening(ifname: string): Promise<boolean> {
  try {
    (await connectUapi(uapiPath(ifname))).close();
    return true;
  } catch {
    return false;
  }
}

function startError(ifname: string, words: string): MystError {
  const said = words.trim().split("\n").at(-1) ?? "";
  if (/not permitted|denied/i.test(said))
    return new MystError("PRIVILEGE_NEEDED", `no right to make the interface ${ifname}`, {
      hint: "run it as root (sudo), or use --service proxy",
    });
  return new MystError("INTERNAL", `wireguard-go did not start: ${said}`.slice(0, 300));
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENODEV" || code === "ENXIO") return "there is no /dev/net/tun (the module tun)";
  if (code === "EACCES" || code === "EPERM") return "no right to open /dev/net/tun (root, or CAP_NET_ADMIN)";
  return message;
}
