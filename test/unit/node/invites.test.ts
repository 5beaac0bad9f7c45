import assert from "node:assert/strict";
import { MystError } from "../../../src/lib/errors.ts";
import { connectInvites } from "../../../src/node/invites.ts";
import { describe } from "../../support/harness.ts";

const invite = (peer: string, port = 1) => `/ip4/192.0.2.1/tcp/${port}/p2p/${peer}`;
const { signal } = new AbortController();

describe("node/invites", (test) => {
  const network = (...there: string[]) => {
    const dialled: string[] = [];
    const connect = async (peer: string, addresses: string[]) => {
      dialled.push(`${peer} ${addresses.length}`);
      if (!there.includes(peer)) throw new MystError("PEER_UNREACHABLE", `${peer} is not there`);
    };
    return { dialled, connect };
  };

  test("one of several that answers is enough; all addresses of a peer are tried", async () => {
    const some = network("b");
    await connectInvites(some, [invite("a"), invite("b"), invite("b", 2)], signal);
    assert.deepEqual(some.dialled, ["a 1", "b 2"]);
    await connectInvites(network(), [], signal);
  });

  test("where none answers it says so, and one that names no peer is refused before anything is dialled", async () => {
    await assert.rejects(connectInvites(network(), [invite("a"), invite("b")], signal), { code: "PEER_UNREACHABLE", message: /^a/ });
    const some = network("a");
    await assert.rejects(connectInvites(some, [invite("a"), "/ip4/192.0.2.1/tcp/1"], signal), { code: "BAD_VALUE" });
    assert.deepEqual(some.dialled, []);
  });
});
