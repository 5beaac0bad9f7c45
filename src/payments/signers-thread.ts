import { parentPort, workerData } from "node:worker_threads";
import { signersIn } from "./signers-batch.ts";

// The thread of `createSigners`: one message in, one out.
parentPort?.on("message", (packed: Uint8Array) => {
  const signers = signersIn(workerData, packed);
  parentPort?.postMessage(signers, [signers.buffer as ArrayBuffer]);
});
