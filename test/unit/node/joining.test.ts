import assert from "node:assert/strict";
import { addressOf } from "../../../src/node/joining.ts";
import { describe } from "../../support/harness.ts";
import { identity } from "../discovery/offers.ts";

describe("node/joining: whose connection stays", (test) => {
  test("a peer with a key of another kind has no address, and brings nothing down when it is weighed against others", () => {
    assert.equal(addressOf("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"), undefined);
    assert.equal(addressOf(identity(1).peerId), identity(1).address);
  });
});
