import assert from "node:assert/strict";
import { parseValue } from "../../../src/cli/values.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import type { OptionKind } from "../../../src/option-kinds.ts";
import { describe } from "../../support/harness.ts";

const peer = "16Uiu2HAmGJjJq7CDqg6Z5T6DqZpccikMHyj7UraRjL58KNYUhmDk";
const read = (kind: OptionKind, text: string) => parseValue(kind, text, { name: "--x", directory: "/", env: {}, choices: ["a", "b"] });

const cases: [kind: OptionKind, code: string, good: [text: string, value: unknown][], bad: string[]][] = [
  ["country", "BAD_COUNTRY", [["us", "US"]], ["UK", "USA", "", "U", "ÜS"]],
  [
    "share",
    "BAD_VALUE",
    [
      ["0", 0],
      ["0.25", 0.25],
      ["1", 1],
      ["1.0", 1],
    ],
    ["-0.1", "1.1", "2", "50%", "", ".5"],
  ],
  ["integer", "BAD_VALUE", [["20", 20]], ["0", "-1", "1.5", "1e3", "", "99999999999"]],
  [
    "flag",
    "BAD_VALUE",
    [
      ["1", true],
      ["no", false],
    ],
    ["maybe", ""],
  ],
  [
    "duration",
    "BAD_VALUE",
    [
      ["24h", 86_400_000],
      ["5m", 300_000],
      ["7", 7],
    ],
    ["h", "1w", "-1h", "1.5h"],
  ],
  [
    "percent",
    "BAD_VALUE",
    [
      ["2%", 200],
      ["1.5%", 150],
      ["0.01 %", 1],
      ["0%", 0],
      ["100%", 10_000],
    ],
    ["2", "%", "-1%", "100.01%", "1000%", "0.001%", "1,5%", "2bps"],
  ],
  ["hours", "BAD_VALUE", [["tue 1:00-2:00", [{ from: 1500, to: 1560 }]]], ["mond", "18:00", ""]],
  [
    "speed",
    "BAD_VALUE",
    [
      ["64Kbit", 64_000],
      ["20Mbit", 20_000_000],
      ["1gbit", 1_000_000_000],
      ["100Gbit", 100_000_000_000],
    ],
    ["63Kbit", "101Gbit", "20", "20MB", "20Mbit/s", "-1Mbit", "1.5Mbit", "Mbit", "", "0Mbit"],
  ],
  [
    "size",
    "BAD_VALUE",
    [
      ["64MiB", 2n ** 26n],
      ["1GiB", 2n ** 30n],
      ["5", 5n],
    ],
    ["64MB", "0", "MiB", "-1KiB"],
  ],
  ["choice", "BAD_VALUE", [["a", "a"]], ["c", "A", ""]],
  ["url", "BAD_VALUE", [["http://127.0.0.1:8545", "http://127.0.0.1:8545"]], ["127.0.0.1:8545", "ftp://x", "http//", ""]],
  [
    "peer",
    "BAD_ADDRESS",
    [
      [peer, peer],
      ["KNYUhmDk", "KNYUhmDk"],
    ],
    ["0x00", "short", "has0zeroO", "a/b/c/d/e"],
  ],
  ["account", "BAD_ADDRESS", [[`0x${"AB".repeat(20)}`, `0x${"ab".repeat(20)}`]], ["0x12", "ab".repeat(20), `0x${"zz".repeat(20)}`]],
  [
    "ip",
    "BAD_ADDRESS",
    [
      ["127.0.0.9", "127.0.0.9"],
      ["::1", "::1"],
    ],
    ["localhost", "1.2.3", "1.2.3.4:5"],
  ],
  [
    "hostport",
    "BAD_ADDRESS",
    [
      ["127.0.0.1:0", "127.0.0.1:0"],
      ["[::1]:80", "[::1]:80"],
      ["host.name:80", "host.name:80"],
    ],
    ["127.0.0.1", ":80", "a:70000", "::1:80", "[x]:80", "a b:80"],
  ],
  [
    "listen",
    "BAD_ADDRESS",
    [
      ["0.0.0.0:4480", "/ip4/0.0.0.0/tcp/4480"],
      ["[::]:1", "/ip6/::/tcp/1"],
      ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0"],
      ["/p2p-circuit", "/p2p-circuit"],
    ],
    ["4480", "/p2p-circuit/tcp/1", "/ip4/::1/tcp/1", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/70000", "name:80", "/ip4/1.2.3.4/tcp/1/ws"],
  ],
  [
    "invite",
    "BAD_ADDRESS",
    [[`/ip4/1.2.3.4/tcp/1/p2p/${peer}`, `/ip4/1.2.3.4/tcp/1/p2p/${peer}`]],
    [`/p2p/${peer}`, "/ip4/1.2.3.4/tcp/1", `/ip4/1.2.3.4/tcp/1/p2p/x`, peer],
  ],
  [
    "destination",
    "BAD_ADDRESS",
    [
      ["127.0.0.1:8080", "127.0.0.1:8080"],
      ["10.0.0.0/8", "10.0.0.0/8"],
      ["::1", "::1"],
      ["[::1]:80", "[::1]:80"],
      ["fd00::/8", "fd00::/8"],
    ],
    ["10.0.0.0/33", "name:80", "1.2.3.4/8:80", "", "/8", "1.2.3.4/"],
  ],
  [
    "port",
    "BAD_VALUE",
    [
      ["0", 0],
      ["51820", 51_820],
    ],
    ["65536", "-1", "", "1e3", "http"],
  ],
  [
    "interface",
    "BAD_VALUE",
    [
      ["eth0", "eth0"],
      ["br-lan.7", "br-lan.7"],
    ],
    ["", "eth0 up", "eth0;", "../x", "-x", "interface-too-long", "eth0\nx"],
  ],
  ["string", "BAD_VALUE", [["New York", "New York"]], ["", "x".repeat(201)]],
];

describe("cli/values", (test) => {
  for (const [kind, code, good, bad] of cases)
    test(`${kind}: takes what is one, refuses what is none with ${code} and a hint`, () => {
      for (const [text, value] of good) assert.deepEqual(read(kind, text), value, text);
      for (const text of bad)
        assert.throws(
          () => read(kind, text),
          (error) => isMystError(error) && error.code === code && Boolean(error.hint),
          `'${text}'`,
        );
    });
});
