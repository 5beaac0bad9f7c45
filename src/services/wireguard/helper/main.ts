import type { LogFields, Logger } from "../../../lib/ports.ts";
import { createHostNet } from "../host/host-net.ts";
import type { PeerStats, WgKey } from "../types.ts";
import { createCore, inBatches } from "./core.ts";
import { dispatch } from "./dispatch.ts";
import { stateDirectory } from "./facts.ts";
import { readLines, writeLine } from "./lines.ts";
import { lineMax, type Note } from "./protocol.ts";

/**
 * The helper's process: the one part of the product that runs with privileges. It speaks with the node that started it, over its standard
 * input and output, and with nobody else; it ends when that one has.
 */
const beatMs = 5000;
/** so many unanswered in a row and the node counts as stalled */
const beatsMax = 6;

// Ctrl-C and `systemctl stop` reach the node too; what is to become of the tunnel is its decision, which the pipe brings
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => undefined);
process.stdout.on("error", () => undefined);

const send = (note: Note) => writeLine(process.stdout, note);
const waiting = new Map<WgKey, PeerStats>();
let unanswered = 0;

/** the node's log is ours, too */
const log: Logger = {
  debug: () => undefined,
  info: (message, fields) => send({ event: "log", level: "info", message: withFields(message, fields) }),
  warn: (message, fields) => send({ event: "log", level: "warn", message: withFields(message, fields) }),
  error: (message, fields) => log.warn(message, fields),
  child: () => log,
};
const withFields = (message: string, fields: LogFields = {}) =>
  [message, ...Object.entries(fields).map(([name, value]) => `${name}=${value}`)].join(" ");

const core = createCore({
  host: createHostNet({ log, stateDirectory: stateDirectory() }),
  send,
  sendCounters: (changed) => {
    for (const [key, stats] of changed) waiting.set(key, stats);
    sendWaiting();
  },
  end: (reason) => {
    send({ event: "ending", reason });
    process.stdout.end(() => process.exit(0));
    // a node that does not read must not keep us
    setTimeout(() => process.exit(0), 200).unref();
  },
});

function sendWaiting(): void {
  if (process.stdout.writableNeedDrain) return;
  for (const batch of inBatches([...waiting]))
    send({
      event: "exitCounters",
      counts: batch.map(([key, { rxBytes, txBytes, handshakeMs }]) => [key, String(rxBytes), String(txBytes), handshakeMs]),
    });
  waiting.clear();
}
process.stdout.on("drain", sendWaiting);

const handlers = {
  ask: core.ask,
  credit: core.credit,
  beat: () => {
    unanswered = 0;
  },
};
readLines(
  process.stdin,
  lineMax,
  (line) => void dispatch(line, handlers, send),
  (reason) => void core.nodeGone(reason),
);
setInterval(() => {
  unanswered += 1;
  if (unanswered > beatsMax) void core.nodeGone("the node does not answer");
  else if (!process.stdout.writableNeedDrain) send({ event: "beat" });
}, beatMs);
