import { execFileSync } from "node:child_process";
import { type Forward, type HomeRouterOptions, startHomeRouter } from "../../support/home-router.ts";

/** The part of a router that those behind it command, in its own namespace: what is forwarded the kernel forwards. */
const options = JSON.parse(process.argv[2] ?? "{}") as HomeRouterOptions;
const forwards = new Map<string, Forward>();
const apply = (forward: Forward, isOn: boolean) => {
  const key = `${forward.protocol} ${forward.outside}`;
  if (isOn) forwards.set(key, forward);
  else forwards.delete(key);
  const rules = [...forwards.values()].map(
    (one) => `iifname "eth0" ${one.protocol} dport ${one.outside} dnat to ${one.client}:${one.port}`,
  );
  const chain = `chain pre { type nat hook prerouting priority dstnat - 1; policy accept;\n${rules.join("\n")}\n}`;
  execFileSync("nft", ["-f", "-"], {
    input: `table ip home\ndelete table ip home\ntable ip home {\n${chain}\n}\n`,
    stdio: ["pipe", "ignore", "inherit"],
  });
};
await startHomeRouter({ ...options, apply });
console.log("ready");
