import { encodeDeployData, encodeFunctionData } from "viem";
import { testTokenAbi } from "../../../src/chain/abi/test-token.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import type { Rig } from "../../chain/rig.ts";
import { until } from "../../support/until.ts";
import { plainChannelsAbi, plainChannelsBytecode } from "../abi/plain-channels.ts";

type Receipt = { gasUsed: Hex; contractAddress: Hex | null; status: Hex };

/**
 * Gas of claims on a plain payment channel, one transaction each: of the first with the deposit that each channel needs, and of those after. Signatures are 65 bytes and the
 * payee has tokens already, as a provider of ours has.
 */
export async function plainClaims(rig: Rig): Promise<{ fresh: number; repeat: number }> {
  const [, payer, payee] = (await rig.ask("eth_accounts")) as Hex[];
  if (!payer || !payee) throw new Error("the chain has no accounts of its own");
  const send = async (transaction: { from: Hex; to?: Hex; data: Hex }): Promise<Receipt> => {
    const hash = await rig.ask("eth_sendTransaction", transaction);
    let receipt: Receipt | null = null;
    await until(async () => {
      receipt = (await rig.ask("eth_getTransactionReceipt", hash)) as Receipt | null;
      return receipt !== null;
    });
    const found = receipt as Receipt | null;
    if (found?.status !== "0x1") throw new Error("a transaction of the plain channels failed");
    return found;
  };

  const token = rig.network.token.address;
  const deploy = encodeDeployData({ abi: plainChannelsAbi, bytecode: plainChannelsBytecode, args: [token] });
  const { contractAddress: contract } = await send({ from: payer, data: deploy });
  if (!contract) throw new Error("the plain channels were not deployed");
  const ofToken = (functionName: "mint" | "approve", to: Hex, amount: bigint) =>
    send({ from: payer, to: token, data: encodeFunctionData({ abi: testTokenAbi, functionName, args: [to, amount] }) });
  await ofToken("mint", payer, 10n ** 18n);
  await ofToken("mint", payee, 1n);
  await ofToken("approve", contract, 10n ** 18n);
  const open = await send({
    from: payer,
    to: contract,
    data: encodeFunctionData({ abi: plainChannelsAbi, functionName: "open", args: [payee, 9n * 10n ** 17n] }),
  });

  const claim = async (cumulative: bigint): Promise<number> => {
    const signature = (await rig.ask("eth_signTypedData_v4", payer, {
      domain: { name: "PlainChannels", version: "1", chainId: rig.network.chainId, verifyingContract: contract },
      types: {
        EIP712Domain: [
          { name: "name", type: "string" },
          { name: "version", type: "string" },
          { name: "chainId", type: "uint256" },
          { name: "verifyingContract", type: "address" },
        ],
        Promise: [
          { name: "payee", type: "address" },
          { name: "cumulative", type: "uint256" },
        ],
      },
      primaryType: "Promise",
      message: { payee, cumulative: cumulative.toString() },
    })) as Hex;
    const args = [payer, cumulative, signature] as const;
    const data = encodeFunctionData({ abi: plainChannelsAbi, functionName: "claim", args });
    return Number((await send({ from: payee, to: contract, data })).gasUsed);
  };
  return { fresh: Number(open.gasUsed) + (await claim(10n ** 17n + 1n)), repeat: await claim(2n * 10n ** 17n + 1n) };
}
