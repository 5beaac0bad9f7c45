import assert from "node:assert/strict";
import { TypedEventEmitter } from "@libp2p/interface";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { announceOwnAddresses } from "../../../src/network/own-addresses.ts";
import { describe } from "../../support/harness.ts";

describe("network/own-addresses", (test) => {
  test("every address that a listener has is confirmed as it starts to listen", () => {
    const events = new TypedEventEmitter<{ "transport:listening": CustomEvent }>();
    const confirmed: unknown[] = [];
    const confirmObservedAddr = (address: Multiaddr, options: object) => confirmed.push([address.toString(), options]);
    announceOwnAddresses()({ events, addressManager: { confirmObservedAddr } } as never);
    const addresses = ["/ip4/23.20.16.2/tcp/4480", "/ip6/2600:1f18::2/tcp/4480"];
    events.dispatchEvent(new CustomEvent("transport:listening", { detail: { getAddrs: () => addresses.map((text) => multiaddr(text)) } }));
    assert.deepEqual(
      confirmed,
      addresses.map((text) => [text, { type: "transport", ttl: Number.POSITIVE_INFINITY }]),
    );
  });
});
