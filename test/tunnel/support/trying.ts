import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

/** What a program tries to reach: an address, or a name that is asked for twice, as it may answer something else by then. */
export type Attempt = {
  way: "tcp" | "udp";
  host: string;
  port: number;
  isName?: boolean;
};

/** how long an answer is waited for: what is sent is seen elsewhere */
const patienceMs = 150;

/** Tries them all at once; resolves when each has been sent and some time has passed. */
export async function tryAll(attempts: Attempt[]): Promise<void> {
  await Promise.all(attempts.map((attempt) => (attempt.isName ? byName(attempt) : attemptOne(attempt))));
}

async function byName(attempt: Attempt): Promise<void> {
  const resolver = new Resolver({ timeout: 2_000, tries: 1 });
  // whomever is asked, the tunnel leads to the exit's name server
  resolver.setServers(["9.9.9.9"]);
  for (let i = 0; i < 2; i += 1) {
    const addresses = await resolver.resolve4(attempt.host).catch(() => []);
    await Promise.all(addresses.map((host) => attemptOne({ ...attempt, host })));
  }
}

async function attemptOne({ way, host, port }: Attempt): Promise<void> {
  if (way === "tcp") {
    const socket = connect({ host, port });
    socket.on("error", () => undefined);
    await wait(patienceMs);
    socket.destroy();
    return;
  }
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  socket.send("through", port, host, () => undefined);
  await wait(patienceMs);
  socket.close();
}
