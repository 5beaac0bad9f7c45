import { once } from "node:events";
import { get } from "node:http";
import { readNetworkFile } from "../../../src/lib/network-config.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { startTunnelHelper } from "../../../src/node/helper.ts";
import type { ConnectStep, Node } from "../../../src/node/types.ts";
import { runTool } from "../../../src/services/wireguard/backend/run-tool.ts";
import { wireguardGoBackend } from "../../../src/services/wireguard/backend/wireguard-go.ts";
import type { Told } from "../../tunnel/support/told.ts";
import { handAddress } from "./by-hand.ts";

/** A process on a consumer's host, told what to do by messages: a node that has been running for a while, or what one does by hand. */
export type WarmTask =
  | { do: "start"; dataDir: string; networkFile: string; via: string; peer: string }
  /** connects, fetches a page, disconnects */
  | { do: "connect"; page: string }
  /** the same from a configuration that is known, with nothing but the tunnel */
  | { do: "floor"; page: string; privateKey: string; exit: { publicKey: string; endpoint: { address: string; port: number } } };
/** ms since the task began */
export type WarmDone = Partial<Record<ConnectStep["step"], number>> & { firstByte: number };

const myst = 10n ** 18n;
let node: Node | undefined;
let exit = { peer: "", via: "" };

/** Resolves with the first byte of a page. */
async function firstByte(page: string): Promise<void> {
  const asked = get(page, { agent: false, signal: AbortSignal.timeout(20_000) });
  const [response] = await once(asked, "response");
  await once(response, "data");
  response.destroy();
}

async function start({ dataDir, networkFile, via, peer }: Extract<WarmTask, { do: "start" }>): Promise<WarmDone> {
  const helper = await startTunnelHelper({ log: silentLogger });
  const { createNode } = await import("../../../src/node.ts");
  node = await createNode({ dataDir, network: await readNetworkFile(networkFile), helper });
  await node.start();
  exit = { peer, via };
  return { firstByte: 0 };
}

async function connect(page: string): Promise<WarmDone> {
  if (!node) throw new Error("there is no node");
  const beganMs = performance.now();
  const steps: Partial<WarmDone> = {};
  const connection = await node.connect({
    ...{ peer: exit.peer, via: [exit.via], service: "wireguard" },
    ...{ maxPerGiB: 1000n * myst, maxPerHour: 1000n * myst, budget: 10n * myst },
    onStep: ({ step }) => {
      steps[step] = performance.now() - beganMs;
    },
  });
  await firstByte(page);
  const took = performance.now() - beganMs;
  await connection.disconnect();
  return { ...steps, firstByte: took };
}

async function floor({ page, privateKey, exit: { publicKey, endpoint } }: Extract<WarmTask, { do: "floor" }>): Promise<WarmDone> {
  const beganMs = performance.now();
  const device = await wireguardGoBackend().open({ ifname: "floor0", privateKey, mtu: 1280 });
  await device.addPeer({ publicKey, endpoint, allowedIps: ["0.0.0.0/0"] });
  const { hostname } = new URL(page);
  await runTool("ip", ["-batch", "-"], {
    input: `addr add ${handAddress}/32 dev floor0\nroute add ${hostname} dev floor0\n`,
    byName: true,
  });
  await firstByte(page);
  const took = performance.now() - beganMs;
  await device.close();
  return { firstByte: took };
}

const perform = (task: WarmTask): Promise<WarmDone> =>
  task.do === "start" ? start(task) : task.do === "connect" ? connect(task.page) : floor(task);

if (process.send) {
  const say = (message: Told<WarmDone>) => process.send?.(message);
  process.on("message", (task: WarmTask) => {
    perform(task).then(
      (done) => say({ done }),
      (error) => say({ error: `${error.code ?? ""} ${error}` }),
    );
  });
  process.on("disconnect", () => process.exit(0));
  process.on("SIGINT", () => undefined);
  say({});
}
