import assert from "node:assert/strict";
import { agoText } from "../../../src/cli/texts.ts";
import { channelsText, outsideText, sentText, settledText, walletText } from "../../../src/cli/wallet-texts.ts";
import type { ChannelView, OutsideView, WalletView } from "../../../src/node/types.ts";
import { describe } from "../../support/harness.ts";

const unit = { symbol: "MYST", decimals: 18 };
const myst = 10n ** 18n;
const address = `0x${"ab".repeat(20)}` as const;
const other = `0x${"12".repeat(20)}` as const;
const hash = `0x${"cd".repeat(32)}` as const;
const much = 123_456n * myst + 123_456_789_012_345_678n;
const wallet: WalletView = {
  address,
  owner: other,
  tokens: much,
  gas: much,
  deposit: much,
  bond: much,
  line: much,
  spent: much,
  promised: much,
  liabilities: much,
  unsettled: much,
  unsettledChannels: 1_000,
  writtenOff: much,
  credit: much,
  atRisk: { prepaid: much, bond: much, owed: much },
  closeAtMs: Date.UTC(2026, 10, 27, 11, 41),
  unfinished: { what: "withdraw", hash },
};
const channel: ChannelView = {
  role: "payer",
  channel: hash,
  signer: address,
  peer: "16Uiu2HAmFakeExitPeerIdFakeExitPeerIdFakeExitPeerId11",
  cumulative: 12n * myst + myst / 7n,
  consumed: 11n * myst + myst / 7n,
  paid: 10n * myst,
  unsettled: 2n * myst + myst / 7n,
  lastMs: 0,
  state: "cleared",
};

const narrow = (text: string) => {
  for (const line of text.split("\n")) assert.ok(line.length <= 80, `${line.length} columns: ${line}`);
};

describe("cli/wallet-texts", (test) => {
  test("a wallet that has everything at once fits into 80 columns, and says all of it", () => {
    const text = walletText(wallet, unit);
    narrow(text);
    for (const part of [address, other, hash, "1000 channels", "written off", "2026-11-27 11:41 UTC", "wallet settle", "elsewhere"])
      assert.ok(text.includes(part), `${part} in\n${text}`);
  });

  test("what is not is not mentioned", () => {
    const { owner: _, closeAtMs: __, unfinished: ___, ...rest } = wallet;
    const none = { prepaid: 0n, bond: 0n, owed: 0n };
    const empty = {
      ...rest,
      line: 0n,
      promised: 0n,
      bond: 0n,
      credit: 0n,
      writtenOff: 0n,
      unsettled: 0n,
      unsettledChannels: 0,
      atRisk: none,
    };
    const text = walletText(empty, unit);
    assert.deepEqual(
      text.split("\n").map((line) => line.split("  ")[0]),
      ["address", "in wallet", "on deposit", "owed to you", "at risk"],
    );
    assert.match(text, /on deposit +nothing\n/);
    assert.match(text, /at risk +nothing$/);
  });

  test("an own account names no other owner; an empty closed one no time", () => {
    assert.doesNotMatch(walletText({ ...wallet, owner: address }, unit), /elsewhere,|owner/);
    assert.match(walletText({ ...wallet, deposit: 0n, bond: 0n }, unit), /closed for good, and empty/);
    const later = walletText({ ...wallet, closeAtMs: Date.UTC(2026, 10, 27, 11, 41, 1) }, unit);
    assert.match(later, /from 2026-11-27 11:42 UTC on/, "at 11:41 it would still be too early");
  });

  test("channels stand in a table for each role, in 80 columns", () => {
    const text = channelsText([channel, { ...channel, role: "provider", state: "closing", cumulative: much }], unit, 40 * 86_400_000);
    narrow(text);
    assert.match(
      text,
      /^What you have promised, in MYST\nCHANNEL .*STATE\n0xcdcdcd .*12\.142857 .*40d {2}cleared\n\nWhat was promised to you/,
    );
    assert.doesNotMatch(channelsText([channel], unit, 0), /to you/);
    assert.equal(channelsText([], unit, 0), "no channels");
  });

  test("what others watch is a column of its own, where anything is watched", () => {
    const watched = { amount: myst / 7n, by: ["16Uiu2a", "16Uiu2b"], untilMs: 0 };
    const owed: ChannelView = { ...channel, role: "provider", cumulative: much, state: "closing" };
    assert.doesNotMatch(channelsText([channel, owed], unit, 0), /WATCHED/);
    const text = channelsText([channel, owed, { ...owed, watched }], unit, 40 * 86_400_000);
    narrow(text);
    assert.match(
      text,
      /PROMISED +USED[\s\S]*to you, in MYST\n.*PROMISED +CLEARED +NOT YET +WATCHED +LAST.*\n.* - +40d +closing\n.* 0\.142857 +40d +closing$/,
    );
  });

  test("what was cleared is a line each, and what was left says how to clear it", () => {
    const row = { hash, signer: address, channel: hash, peer: channel.peer, paid: much };
    const text = settledText(
      { hash, claims: 2, paid: much, settled: [row, row], left: 5n * myst, short: much, collected: myst, kept: much },
      unit,
    );
    narrow(text);
    assert.match(text, /2 claims/);
    assert.match(text, /--all/);
    const nothing = settledText({ claims: 0, paid: 0n, settled: [], left: 5n, short: 0n, collected: 0n, kept: 0n }, unit);
    assert.match(nothing, /^cleared {2}nothing\nleft /);
  });

  test("what another wallet sends: only links and data are longer than a line", () => {
    const view: OutsideView = {
      owner: other,
      signer: address,
      chainId: 31_337,
      closeAtMs: Date.UTC(2026, 10, 27, 11, 41),
      transactions: [
        { what: "approve", chainId: 31_337, to: address, data: `0x${"00".repeat(68)}`, link: "ethereum:0x1" },
        { what: "deposit", chainId: 31_337, to: other, data: `0x${"11".repeat(164)}`, link: "ethereum:0x2" },
      ],
    };
    const text = outsideText(view, "a network");
    narrow(
      text
        .split("\n")
        .filter((line) => !/^ {3}(link|data)/.test(line))
        .join("\n"),
    );
    for (const { link, data, to } of view.transactions) for (const part of [link, data, to]) assert.ok(text.includes(` ${part}\n`), part);
    assert.match(text, /2 transactions, in this order, on chain 31337 \(a network\)/);
    assert.match(text, /not before 2026-11-27 11:41 UTC/);
  });

  test("what goes out is told with what is waited for", () => {
    assert.equal(sentText({ what: "deposit", hash }, 12), "deposit sent, waiting for 12 confirmations");
    assert.equal(sentText({ what: "approve", hash }, 12), "approval sent, waiting for its block");
    assert.match(sentText({ what: "close", hash, again: true }, 12), /going on with the close that an earlier command has sent/);
  });

  test("how long ago, in three characters or so", () => {
    const texts = [-5, 4_999, 5_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000 * 400].map(agoText);
    assert.deepEqual(texts, ["now", "now", "5s", "59s", "1m", "59m", "1h", "23h", "400d"]);
  });
});
