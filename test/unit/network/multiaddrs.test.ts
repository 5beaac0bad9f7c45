import assert from "node:assert/strict";
import { isMystError } from "../../../src/lib/errors.ts";
import { dialable, parseAddresses, parseBootstrap } from "../../../src/network/multiaddrs.ts";
import { describe } from "../../support/harness.ts";
import { identity } from "../discovery/offers.ts";

const peer = identity(1).peerId;
const other = identity(2).peerId;
const badValue = (error: unknown) => isMystError(error, "BAD_VALUE");

describe("network/multiaddrs", (test) => {
  test("listen addresses are multiaddrs or refused", () => {
    assert.deepEqual(parseAddresses(["/ip4/127.0.0.1/tcp/0"]), ["/ip4/127.0.0.1/tcp/0"]);
    assert.throws(() => parseAddresses(["127.0.0.1:80"]), badValue);
  });

  test("bootstrap addresses say whose they are, and come together by peer", () => {
    const [a, b] = [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`, `/ip6/::1/tcp/1/p2p/${peer}`];
    assert.deepEqual(parseBootstrap([a, b]), [{ peer, addresses: [a, b] }]);
    assert.throws(() => parseBootstrap(["/ip4/127.0.0.1/tcp/1"]), badValue);
    assert.throws(() => parseBootstrap(["nonsense"]), badValue);
  });

  test("of what others say only addresses of that very peer are dialled, and no more than eight", () => {
    const texts = ["/ip4/127.0.0.1/tcp/1", `/ip4/127.0.0.1/tcp/2/p2p/${peer}`, `/ip4/127.0.0.1/tcp/3/p2p/${other}`, "nonsense"];
    assert.deepEqual(dialable(peer, texts).map(String), [`/ip4/127.0.0.1/tcp/1/p2p/${peer}`, `/ip4/127.0.0.1/tcp/2/p2p/${peer}`]);
    assert.equal(dialable(peer, Array(50).fill("/ip4/127.0.0.1/tcp/1")).length, 8);
  });
});
