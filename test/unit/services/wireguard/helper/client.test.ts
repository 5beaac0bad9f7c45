import assert from "node:assert/strict";
import { openClient } from "../../../../../src/services/wireguard/helper/client.ts";
import type { HostPort } from "../../../../../src/services/wireguard/helper/host-port.ts";
import { closed } from "../../../../../src/services/wireguard/types.ts";
import { createFakeBackend } from "../../../../support/fake-backend.ts";
import { describe } from "../../../../support/harness.ts";

/** What is told and what the host is made to be, in order. */
function openPlayed() {
  const played = { refuses: false };
  const happened: string[] = [];
  const later = (what: string) => new Promise<void>((done) => setImmediate(() => done(void happened.push(what))));
  const host: HostPort = {
    apply: async () => {
      await later("the kill switch stands");
      if (played.refuses) throw new Error("no nft");
    },
    revert: () => later("it is taken down"),
    verify: async () => [],
    watch: () => () => undefined,
    raising: (_name, _setting, work) => work(),
  };
  const deps = { backend: createFakeBackend(), host, forget: async () => undefined, log: () => undefined, onCounters: () => undefined };
  const client = openClient(
    { ...deps, onState: ({ intent, fact }) => void happened.push(`${intent}, ${fact}`) },
    { ifname: "t0", first: "t1", uid: 1, control: [], ipv6: true },
  );
  return { client, happened, played };
}

describe("wireguard/helper/client: what is told of the kill switch", (test) => {
  test("nobody is called secured before it stands", async () => {
    const { client, happened } = openPlayed();
    await client.secure(closed);
    await client.release();
    assert.deepEqual(happened, ["the kill switch stands", "secured, securing", "it is taken down", "open, down"]);
  });

  test("nor while it is being taken down, as asked, or put up again", async () => {
    const { client, happened } = openPlayed();
    await client.secure(closed);
    await client.secure({ ...closed, killSwitch: false });
    await client.secure(closed);
    await client.release();
    const [off, on] = [happened.indexOf("unguarded, securing"), happened.lastIndexOf("secured, securing")];
    assert.deepEqual([happened[off + 1], happened[on - 1]], ["it is taken down", "the kill switch stands"]);
  });

  test("where it cannot be put up nobody is told of it", async () => {
    const { client, happened, played } = openPlayed();
    played.refuses = true;
    await assert.rejects(client.secure(closed), /no nft/);
    assert.deepEqual(happened, ["the kill switch stands", "it is taken down"]);
  });

  test("what could not be changed stays as it was, and is changed when it is asked for again", async () => {
    const { client, happened, played } = openPlayed();
    await client.secure(closed);
    played.refuses = true;
    await assert.rejects(client.secure({ ...closed, lan: true }), /no nft/);
    played.refuses = false;
    happened.length = 0;
    await client.secure({ ...closed, lan: true });
    assert.deepEqual(happened, ["the kill switch stands"]);
    await client.release();
  });
});
