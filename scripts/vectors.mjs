#!/usr/bin/env node
// Writes contracts/vectors/eip712.json with viem: what forge, the contract and our own hashing must all agree with.
// --check: writes nothing, ends with 1 when the file is not what would be written.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { domainSeparator, encodePacked, hashTypedData, keccak256, serializeCompactSignature, signatureToCompactSignature } from "viem";
import { privateKeyToAddress, sign } from "viem/accounts";

const file = fileURLToPath(new URL("../contracts/vectors/eip712.json", import.meta.url));

const types = {
  Promise: [
    { name: "channel", type: "bytes32" },
    { name: "cumulative", type: "uint96" },
    { name: "total", type: "uint96" },
    { name: "seq", type: "uint64" },
  ],
  Check: [
    { name: "promiseHash", type: "bytes32" },
    { name: "to", type: "address" },
    { name: "feeBps", type: "uint16" },
    { name: "deadline", type: "uint40" },
  ],
  Open: [{ name: "owner", type: "address" }],
  Terms: [
    { name: "session", type: "bytes32" },
    { name: "signer", type: "address" },
    { name: "channel", type: "bytes32" },
    { name: "perHour", type: "uint96" },
    { name: "perGiB", type: "uint96" },
    { name: "quantum", type: "uint96" },
    { name: "validUntil", type: "uint64" },
  ],
};

// keys that anybody can work out: they guard nothing
const keyOf = (name) => keccak256(Buffer.from(`mystnode test vector ${name}`));
const keys = { signer: keyOf("signer"), provider: keyOf("provider") };
const signer = privateKeyToAddress(keys.signer).toLowerCase();
const provider = privateKeyToAddress(keys.provider).toLowerCase();
const owner = `0x${"0b".repeat(20)}`;
const payee = `0x${"0c".repeat(20)}`;

const max = (bits) => 2n ** BigInt(bits) - 1n;
const promises = [
  { salt: 0n, cumulative: 1n, total: 1n, seq: 1n },
  { salt: 0xa1b2c3d4e5f60718293a4b5cn, cumulative: 123456789012345678n, total: 987654321098765432n, seq: 1735689600000n << 20n },
  { salt: max(96), cumulative: max(96), total: max(96), seq: max(64) },
];
const checks = [
  { promise: 0, feeBps: 0, deadline: 0n },
  { promise: 1, feeBps: 250, deadline: 4102444800n },
  { promise: 2, feeBps: 10_000, deadline: max(40) },
];
const terms = [
  { promise: 1, perHour: 0n, perGiB: 100000000000000000n, quantum: 97656250000000n, validUntil: 1735693200000n },
  { promise: 2, perHour: max(96), perGiB: max(96), quantum: max(96), validUntil: max(64) },
];

async function signed(domain, primaryType, message, privateKey) {
  const digest = hashTypedData({ domain, types, primaryType, message });
  const signature = serializeCompactSignature(signatureToCompactSignature(await sign({ hash: digest, privateKey })));
  return { digest, signature };
}

async function vectorsOf(chainId, contract) {
  const domain = { name: "MystClearing", version: "1", chainId, verifyingContract: contract };
  const channels = promises.map(({ salt }) => keccak256(encodePacked(["address", "uint96"], [provider, salt])));
  const promised = [];
  for (const [i, promise] of promises.entries()) {
    const data = { ...promise, channel: channels[i] };
    // the first two words of a claim, as the contract takes it; the signature is the other two
    const payer = encodePacked(["address", "uint96"], [signer, promise.salt]);
    const content = encodePacked(["uint96", "uint96", "uint64"], [promise.cumulative, promise.total, promise.seq]);
    promised.push({ ...data, ...(await signed(domain, "Promise", data, keys.signer)), payer, content });
  }
  const checked = [];
  for (const { promise, feeBps, deadline } of checks) {
    const data = { promiseHash: promised[promise].digest, to: payee, feeBps, deadline };
    checked.push({ promise, ...data, ...(await signed(domain, "Check", data, keys.provider)) });
  }
  const agreed = [];
  for (const { promise, ...term } of terms) {
    const data = { session: keyOf("session"), signer, channel: channels[promise], ...term };
    agreed.push({ ...data, ...(await signed(domain, "Terms", data, keys.provider)) });
  }
  const open = { owner, ...(await signed(domain, "Open", { owner }, keys.signer)) };
  return { chainId, contract, separator: domainSeparator({ domain }), promises: promised, checks: checked, open, terms: agreed };
}

const vectors = {
  about: "Made by scripts/vectors.mjs with viem. Numbers are decimal strings, signatures are 64 bytes (r, vs).",
  keys,
  signer,
  provider,
  domains: [await vectorsOf(31337, `0x${"c1".repeat(20)}`), await vectorsOf(8453, `0x${"00".repeat(19)}ff`)],
};
const text = `${JSON.stringify(vectors, (_, value) => (typeof value === "bigint" ? value.toString() : value), 2)}\n`;

if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (readFileSync(file, "utf8") !== text) {
  console.error("contracts/vectors/eip712.json is not what scripts/vectors.mjs makes: run 'node scripts/vectors.mjs'");
  process.exitCode = 1;
}
