import { bytesToHex, encodeFunctionData, hexToBytes } from "viem";
import { recoverAddress } from "../identity/signature.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import { clearingDomain, openDigest } from "../payments/eip712.ts";
import { mystClearingAbi } from "./abi/myst-clearing.ts";
import { testTokenAbi } from "./abi/test-token.ts";
import type { Signer } from "./chain.ts";
import { signatureWords } from "./claims.ts";

/** One transaction that a wallet outside of this program is to send. It brings no coin along: its value is 0. */
export type OutsideTransaction = {
  what: "approve" | "deposit" | "close" | "withdraw";
  chainId: number;
  to: Hex;
  /** the calldata, for wallets that read no link to a contract's function */
  data: Hex;
  /** the same as an EIP-681 link */
  link: string;
};

/** A signer's yes to its owner, to be given along with its first deposit. 64 bytes, r and vs. */
export const consentOf = (signer: Pick<Signer, "sign">, network: NetworkConfig, owner: Hex): Hex =>
  bytesToHex(signer.sign(openDigest(clearingDomain(network), owner)));

/** @throws BAD_SIGNATURE when `consent` is not the signer's yes to this owner on this contract */
export function requireConsent(network: NetworkConfig, { signer, owner, consent }: { signer: Hex; owner: Hex; consent: Hex }): void {
  let by: Hex | undefined;
  try {
    by = recoverAddress(openDigest(clearingDomain(network), owner), hexToBytes(consent));
  } catch {
    by = undefined;
  }
  if (by !== signer)
    throw new MystError("BAD_SIGNATURE", `this is no consent of ${signer} to the owner ${owner}`, {
      hint: `make one with 'mystnode wallet consent ${owner}' where that signer's key is`,
    });
}

/** No consent: an account that is open already asks for none. */
export const noConsent: Hex = `0x${"00".repeat(64)}`;

export const consentWords = (consent: Hex) => signatureWords(hexToBytes(consent));

const decimal = (value: bigint) => value.toString();

/** `ethereum:<contract>@<chain id>/<function>?<type>=<value>&…`, the arguments in order. A tuple's type is written as the ABI has it. */
const link = (to: Hex, chainId: number, name: string, args: [type: string, value: string][]): string =>
  `ethereum:${to}@${chainId}/${name}?${args.map(([type, value]) => `${type}=${value}`).join("&")}`;

/** Lets the contract take `sum` base units of the token. */
export function approval({ token, contract, chainId }: NetworkConfig, sum: bigint): OutsideTransaction {
  const data = encodeFunctionData({ abi: testTokenAbi, functionName: "approve", args: [contract, sum] });
  const args: [string, string][] = [
    ["address", contract],
    ["uint256", decimal(sum)],
  ];
  return { what: "approve", chainId, to: token.address, data, link: link(token.address, chainId, "approve", args) };
}

export type DepositTerms = { signer: Hex; amount: bigint; bond: bigint; consent: Hex };

/** Amounts in base units; the sender becomes the owner, or is it already. */
export function depositing({ contract, chainId }: NetworkConfig, terms: DepositTerms): OutsideTransaction {
  const { signer, amount, bond, consent } = terms;
  const { r, vs } = consentWords(consent);
  const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "deposit", args: [signer, amount, bond, { r, vs }] });
  const args: [string, string][] = [
    ["address", signer],
    ["uint96", decimal(amount)],
    ["uint96", decimal(bond)],
    ["(bytes32,bytes32)", `(${r},${vs})`],
  ];
  return { what: "deposit", chainId, to: contract, data, link: link(contract, chainId, "deposit", args) };
}

export function closing({ contract, chainId }: NetworkConfig, signer: Hex): OutsideTransaction {
  const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "close", args: [signer] });
  return { what: "close", chainId, to: contract, data, link: link(contract, chainId, "close", [["address", signer]]) };
}

export function withdrawing({ contract, chainId }: NetworkConfig, signer: Hex, to: Hex): OutsideTransaction {
  const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "withdraw", args: [signer, to] });
  const args: [string, string][] = [
    ["address", signer],
    ["address", to],
  ];
  return { what: "withdraw", chainId, to: contract, data, link: link(contract, chainId, "withdraw", args) };
}
