import { asMystError, type MystError } from "../../../src/lib/errors.ts";
import type { Logger } from "../../../src/lib/ports.ts";
import { startHelper } from "../../../src/services/wireguard/helper/start.ts";
import {
  type ClientConfig,
  type ClientTunnel,
  closed,
  type ExitConfig,
  type ExitTunnel,
  type Helper,
  type ShieldOptions,
  type WgKey,
} from "../../../src/services/wireguard/types.ts";

/** A process that stands for the node of one host: it starts the helper there, and does with it as it is told by messages. */
export type Order =
  | { do: "start" | "probe" | "cleanup" | "stop" | "ended" | "closeExit" | "release" | "state" | "clientCounters" | "log" }
  | { do: "secure"; options?: ShieldOptions }
  | { do: "openExit"; config: ExitConfig }
  | { do: "openClient"; config: ClientConfig }
  | { do: "admit" | "dismiss" | "counters"; key: WgKey }
  | { do: "credit"; credits: [key: WgKey, totalBytes: number, forMs: number][] }
  | { do: "up"; exit: Parameters<ClientTunnel["up"]>[0] }
  | { do: "block"; reason: string };
export type Reply = { id: number; result?: unknown; error?: { code: string; message: string } };

let helper: Helper;
let exit: ExitTunnel;
let client: ClientTunnel;
const said: string[] = [];
const note = (message: string) => void said.push(message);
const log: Logger = {
  debug: (message, fields) => note(`${message} ${fields?.pid ?? ""}`),
  info: note,
  warn: note,
  error: note,
  child: () => log,
};

const counts = ({ rxBytes, txBytes, handshakeMs }: { rxBytes: bigint; txBytes: bigint; handshakeMs: number }) => ({
  rx: Number(rxBytes),
  tx: Number(txBytes),
  handshakeMs,
});
const { stringify } = JSON;
const plain = (value: object) => JSON.parse(stringify(value));

async function perform(order: Order): Promise<unknown> {
  switch (order.do) {
    case "start":
      helper = await startHelper({ log });
      return undefined;
    case "probe":
      return helper.probe();
    case "cleanup":
      return helper.cleanup();
    case "stop":
      return helper.stop();
    case "ended":
      return helper.ended;
    case "log":
      return said;
    case "openExit":
      exit = await helper.openExit(order.config);
      return plain(exit);
    case "admit":
      return exit.admit({ publicKey: order.key });
    case "credit":
      for (const [key, totalBytes, forMs] of order.credits) exit.credit(key, { totalBytes: BigInt(totalBytes), forMs });
      return undefined;
    case "counters":
      return counts(exit.counters(order.key));
    case "dismiss":
      return counts(await exit.dismiss(order.key));
    case "closeExit":
      return exit.close();
    case "openClient":
      client = await helper.openClient(order.config);
      return plain(client);
    case "secure":
      return client.secure(order.options ?? closed);
    case "up":
      return client.up(order.exit);
    case "block":
      return client.block(order.reason);
    case "release":
      return client.release();
    case "state":
      return client.state();
    case "clientCounters":
      return counts(client.counters());
  }
}

process.on("SIGINT", () => undefined);
process.on("message", ({ id, order }: { id: number; order: Order }) => {
  perform(order).then(
    (result) => process.send?.({ id, result } satisfies Reply),
    (error) => {
      const { code, message }: MystError = asMystError(error);
      process.send?.({ id, error: { code, message } } satisfies Reply);
    },
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
