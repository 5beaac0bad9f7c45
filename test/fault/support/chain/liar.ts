import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What an RPC pretends. */
export type Lie =
  | "wrong chain"
  | "no contract"
  | "other contract"
  | "stale head"
  | "swallows transactions"
  | "hides receipts"
  | "another's chain";
export const lies: readonly Lie[] = [
  "wrong chain",
  "no contract",
  "other contract",
  "stale head",
  "swallows transactions",
  "hides receipts",
  "another's chain",
];

export type Liar = AsyncDisposable & {
  url: string;
  /** undefined: it tells the truth */
  tell(lie: Lie | undefined): Promise<void>;
  /** how often it has lied */
  told(): number;
};

type Question = { id: number; method: string; params: unknown[] };
const zeros = `0x${"0".repeat(64 * 8)}`;

/** An RPC in front of `rpc`; `other` is a chain that it may pass off as ours. */
export async function startLiar(rpc: string, other: string): Promise<Liar> {
  let lie: Lie | undefined;
  let height = 0;
  let count = 0;
  const forward = async (to: string, question: Question): Promise<{ result?: unknown; error?: unknown }> => {
    const answer = await fetch(to, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", ...question }),
    });
    return (await answer.json()) as { result?: unknown };
  };
  const old = () => `0x${height.toString(16)}`;
  /** the lie, or undefined where there is nothing to lie about */
  const pretend = async (question: Question): Promise<{ result?: unknown; error?: unknown } | undefined> => {
    const { method, params } = question;
    if (lie === "another's chain" && method !== "eth_chainId") return forward(other, question);
    if (lie === "wrong chain" && method === "eth_chainId") return { result: "0x1" };
    if (lie === "no contract" && method === "eth_getCode") return { result: "0x" };
    if (lie === "other contract" && method === "eth_call") return { result: zeros };
    if (lie === "swallows transactions" && method === "eth_sendRawTransaction") return { result: `0x${"ab".repeat(32)}` };
    if (lie === "hides receipts" && method === "eth_getTransactionReceipt") return { result: null };
    if (lie !== "stale head") return undefined;
    if (method === "eth_blockNumber") return { result: old() };
    if (method === "eth_getBlockByNumber" && params[0] === "latest") return forward(rpc, { ...question, params: [old(), params[1]] });
    if (method === "eth_getTransactionReceipt") return { result: null };
    return undefined;
  };
  const server = createServer(async (request, response) => {
    const question = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Question;
    const lied = await pretend(question).catch(() => ({ error: { code: -32000, message: "cannot" } }));
    if (lied) count += 1;
    const answer = lied ?? (await forward(rpc, question).catch(() => ({ error: { code: -32000, message: "cannot" } })));
    response.writeHead(200, { "content-type": "application/json", connection: "close" });
    response.end(JSON.stringify({ ...answer, jsonrpc: "2.0", id: question.id }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tell: async (next) => {
      const { result } = await forward(rpc, { id: 1, method: "eth_blockNumber", params: [] });
      height = Math.max(0, Number(result) - 20);
      lie = next;
    },
    told: () => count,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
