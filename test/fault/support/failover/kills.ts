import { execFileSync } from "node:child_process";
import { type Host, processesOn, routerOf } from "../../../tunnel/support/internet.ts";
import type { Exit } from "../../../tunnel/support/market.ts";
import { standStill } from "../stopped.ts";

/**
 * How an exit goes. `node`: its node is killed, its tunnel goes on for what is paid; `all`: everything there is killed; `cable`: it is cut
 * off without a word; `still`: its node stands still; `deaf`: what its tunnel carries is lost on the way, its node is as well as ever.
 */
export const ways = ["node", "all", "cable", "still", "deaf"] as const;
export type Way = (typeof ways)[number];

const everything = [/mystnode\.js serve/, /wireguard\/helper\/main/, /^wireguard-go /];

const killed = (host: Host, patterns: RegExp[]) => {
  const found = processesOn(host).filter(({ command }) => patterns.some((pattern) => pattern.test(command)));
  if (found.length === 0) throw new Error("there is nothing to kill");
  for (const { pid } of found) process.kill(pid, "SIGKILL");
};
const nft = (input: string) => execFileSync("nft", ["-f", "-"], { input, stdio: ["pipe", "pipe", "pipe"] });

/** Packets of this kind pass a cable no more, and nobody says so. */
function cut({ cable }: Host, kind = ""): Disposable {
  const chain = (hook: string, ends: string[]) =>
    `chain ${hook} {\n type filter hook ${hook} priority -400;\n${ends.map((end) => ` ${end} "${cable}" ${kind} drop\n`).join("")}}\n`;
  const chains = [chain("input", ["iifname"]), chain("output", ["oifname"]), chain("forward", ["iifname", "oifname"])];
  nft(`table inet cut_${cable} {\n${chains.join("")}}\n`);
  let over = false;
  return {
    [Symbol.dispose]: () => {
      if (!over) nft(`delete table inet cut_${cable}\n`);
      over = true;
    },
  };
}

/** Most of what an exit's tunnel carries is lost on the way. */
export const spoil = (exit: Exit): Disposable => cut(exit.host, "meta l4proto udp numgen random mod 100 < 75");

/** Another address of the same network takes the place of a host's own, and back again the next time; connections bound to the old one lead nowhere. */
export function moveAway(host: Host): void {
  const other = `${host.address}7`;
  const next = host.run("ip -4 -br address show dev eth0").includes(`${other}/`) ? host.address : other;
  host.run(`ip -4 address flush dev eth0; ip address add ${next}/24 dev eth0; ip route add default via ${routerOf(host)}`);
}

/** Makes an exit go; disposing of what it returns makes good what outlasts that. */
export function make(exit: Exit, way: Way): Disposable {
  if (way === "still") return standStill(exit.pid());
  if (way === "cable") return cut(exit.host);
  if (way === "deaf") return cut(exit.host, "meta l4proto udp");
  killed(exit.host, way === "all" ? everything : everything.slice(0, 1));
  return { [Symbol.dispose]: () => undefined };
}
