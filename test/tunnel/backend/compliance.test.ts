import type { ChildProcess } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { fileURLToPath } from "node:url";
import { allBackends } from "../../../src/services/wireguard/backend/choose.ts";
import type { WgBackend } from "../../../src/services/wireguard/types.ts";
import { type BackendLine, backendSuite, lineMtu } from "../../support/backend-suite.ts";
import { describe } from "../../support/harness.ts";
import { allProcesses } from "../../support/host-snapshot.ts";
import { enterNamespaces, ip, startEcho } from "./rig.ts";

const noNamespaces = enterNamespaces(fileURLToPath(import.meta.url));
const probes = noNamespaces ? [] : await Promise.all(allBackends().map(async (backend) => ({ backend, probe: await backend.probe() })));

if (noNamespaces) describe("backends", (test) => test("all", () => undefined, { skip: noNamespaces }));

for (const { backend, probe } of probes) backendSuite(lineOf(backend), probe.ok ? false : (probe.reason ?? "no reason given"));

/** The near end is a device in our namespace, the far end one moved into another, where a process answers. */
function lineOf(backend: WgBackend): BackendLine {
  const [near, far] = ["10.9.0.1", "10.9.0.2"];
  const namespace = `far-${backend.kind}`;
  let echo: ChildProcess;
  let socket: Socket;
  let answers = 0;
  return {
    kind: backend.kind,
    near,
    far,
    open: async (end, config) => {
      const ifname = `${end}0`;
      const device = await backend.open({ ifname, mtu: lineMtu, ...config });
      if (end === "near") ip("address", "add", `${near}/24`, "dev", ifname);
      else {
        ip("netns", "add", namespace);
        ip("link", "set", ifname, "netns", namespace);
        ip("-n", namespace, "address", "add", `${far}/24`, "dev", ifname);
        ip("-n", namespace, "link", "set", ifname, "up");
      }
      return device;
    },
    listen: async () => {
      echo = await startEcho(namespace, far);
      socket = createSocket("udp4");
      socket.on("message", () => {
        answers += 1;
      });
      socket.on("error", () => undefined);
      await new Promise<void>((done) => socket.bind(0, near, done));
    },
    ask: (bytes) => socket.send(Buffer.alloc(bytes), 7, far),
    answers: () => answers,
    mtu: () => Number(JSON.parse(ip("-j", "link", "show", "near0"))[0].mtu),
    kill: () => {
      const pid = tunnelProcess("near0");
      if (pid === undefined) ip("link", "delete", "near0");
      else process.kill(pid, "SIGKILL");
    },
    isThere: () => /near0/.test(ip("link")) || tunnelProcess("near0") !== undefined,
    close: async () => {
      socket?.close();
      echo?.kill("SIGKILL");
      ip("netns", "delete", namespace);
    },
  };
}

const tunnelProcess = (ifname: string): number | undefined =>
  allProcesses().find(({ command }) => command.startsWith(`wireguard-go -f ${ifname}`))?.pid;
