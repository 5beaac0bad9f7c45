import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { isKey, keyFromHex, keyToHex, makeKeyPair } from "../../../../../src/services/wireguard/backend/keys.ts";
import { checkAnswer, deviceRequest, parseGet, peersRequest } from "../../../../../src/services/wireguard/backend/uapi.ts";
import { deviceConfig, parseDump, peersConfig } from "../../../../../src/services/wireguard/backend/wg-config.ts";
import { describe } from "../../../../support/harness.ts";

const secret = makeKeyPair();
const peer = makeKeyPair().publicKey;
const presharedKey = makeKeyPair().privateKey;

describe("wireguard: keys", (test) => {
  test("the public key is the private one's", () => {
    // PKCS 8 for X25519 (RFC 8410) is this prefix and the key
    const der = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), Buffer.from(secret.privateKey, "base64")]);
    const { x } = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({ format: "jwk" });
    assert.equal(Buffer.from(x ?? "", "base64url").toString("base64"), secret.publicKey);
  });

  test("hexadecimal and back", () => {
    assert.match(keyToHex(peer), /^[0-9a-f]{64}$/);
    assert.equal(keyFromHex(keyToHex(peer)), peer);
  });

  test("only the one spelling of 32 bytes is a key", () => {
    const odd = Buffer.alloc(32, 255).toString("base64");
    assert.ok(isKey(odd));
    // the last sign before = holds two bits that mean nothing
    assert.equal(isKey(`${odd.slice(0, 42)}9=`), false);
    for (const text of ["", "x", `${odd} `, `${odd.slice(0, 43)}\n`, Buffer.alloc(31).toString("base64"), odd.replaceAll("/", "_")])
      assert.equal(isKey(text), false, text);
  });
});

describe("wireguard: text for a device", (test) => {
  const plain: Parameters<typeof peersConfig>[0] = [
    {
      do: "add",
      peer: { publicKey: peer, presharedKey, allowedIps: ["10.0.0.2/32"], endpoint: { address: "2001:db8::1", port: 7 }, keepaliveS: 25 },
    },
    { do: "allow", key: peer, allowedIps: [] },
  ];

  test("requests of the socket", () => {
    assert.equal(
      deviceRequest({ privateKey: secret.privateKey, listenPort: 51820, fwmark: 7 }),
      `set=1\nprivate_key=${keyToHex(secret.privateKey)}\nlisten_port=51820\nfwmark=7\nreplace_peers=true\n\n`,
    );
    assert.equal(
      peersRequest([...plain, { do: "remove", key: peer }]),
      [
        "set=1",
        `public_key=${keyToHex(peer)}`,
        `preshared_key=${keyToHex(presharedKey)}`,
        "endpoint=[2001:db8::1]:7",
        "persistent_keepalive_interval=25",
        "replace_allowed_ips=true",
        "allowed_ip=10.0.0.2/32",
        `public_key=${keyToHex(peer)}`,
        "update_only=true",
        "replace_allowed_ips=true",
        `public_key=${keyToHex(peer)}`,
        "remove=true",
        "\n",
      ].join("\n"),
    );
  });

  test("files for wg", () => {
    assert.equal(deviceConfig({ privateKey: secret.privateKey }), `[Interface]\nPrivateKey = ${secret.privateKey}\nListenPort = 0\n`);
    assert.equal(
      peersConfig(plain),
      [
        "[Peer]",
        `PublicKey = ${peer}`,
        `PresharedKey = ${presharedKey}`,
        "AllowedIPs = 10.0.0.2/32",
        "Endpoint = [2001:db8::1]:7",
        "PersistentKeepalive = 25",
        "[Peer]",
        `PublicKey = ${peer}`,
        "",
      ].join("\n"),
    );
  });
});

describe("wireguard: what a device says", (test) => {
  const get = [
    `private_key=${keyToHex(secret.privateKey)}`,
    "listen_port=51820",
    `public_key=${keyToHex(peer)}`,
    `preshared_key=${keyToHex(presharedKey)}`,
    "endpoint=192.0.2.1:7",
    "last_handshake_time_sec=1700000000",
    "last_handshake_time_nsec=123456789",
    "tx_bytes=5",
    "rx_bytes=18446744073709551615",
    "allowed_ip=10.0.0.2/32",
    `public_key=${"00".repeat(32)}`,
    "errno=0",
  ].join("\n");
  const dump = [
    [secret.privateKey, secret.publicKey, "51820", "off"].join("\t"),
    [peer, presharedKey, "192.0.2.1:7", "10.0.0.2/32", "1700000000", "18446744073709551615", "5", "off"].join("\t"),
    [Buffer.alloc(32).toString("base64"), "(none)", "(none)", "(none)", "0", "0", "0", "off"].join("\t"),
    "",
  ].join("\n");

  for (const [name, parsed, ms] of [
    ["get", parseGet(get), 123],
    ["dump", parseDump(dump), 0],
  ] as const)
    test(`${name}: port and counters, and no secret`, () => {
      assert.equal(parsed.listenPort, 51820);
      assert.deepEqual(parsed.peers.get(peer), {
        rxBytes: 18446744073709551615n,
        txBytes: 5n,
        handshakeMs: 1_700_000_000_000 + ms,
        endpoint: { address: "192.0.2.1", port: 7 },
      });
      assert.deepEqual(parsed.peers.get(Buffer.alloc(32).toString("base64")), { rxBytes: 0n, txBytes: 0n, handshakeMs: 0 });
      assert.equal(parsed.peers.size, 2);
      const text = JSON.stringify([...parsed.peers], (_, value) => String(value));
      for (const key of [secret.privateKey, presharedKey]) assert.ok(!text.includes(key) && !text.includes(keyToHex(key)));
    });

  test("a refusal is an error", () => {
    checkAnswer("errno=0");
    assert.throws(() => checkAnswer("errno=-98"), /errno -98/);
    assert.throws(() => parseGet("listen_port=1"), /missing/);
  });
});
