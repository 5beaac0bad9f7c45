import { createSocket } from "node:dgram";
import { once } from "node:events";
import ipaddr from "ipaddr.js";

/** What a name has: addresses of either family, by way of another name or not. */
export type Records = { addresses: string[]; alias?: string };

export type NameServer = AsyncDisposable & {
  /** "127.0.0.1:5353", as `dns.Resolver` takes it */
  address: string;
  port: number;
  /** what was asked, each as "A name" or "AAAA name" */
  asked: string[];
};

const types: Record<number, string> = { 1: "A", 28: "AAAA" };

/** A name server that says what the test wants it to, each time that it is asked; without records a name does not exist. */
export async function startNameServer(
  records: (name: string, type: string) => Records | undefined,
  { address = "127.0.0.1", port: wanted = 0 } = {},
): Promise<NameServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    if (query.length < 17) return;
    const { name, type, question } = questionIn(query);
    asked.push(`${type} ${name}`);
    const found = records(name, type);
    const body = found ? answersOf(found, type) : [];
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(found ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(body.length, 6);
    header.fill(0, 8);
    socket.send(Buffer.concat([header, question, ...body]), from.port, from.address);
  });
  socket.bind(wanted, address);
  await once(socket, "listening");
  const { port } = socket.address();
  return { address: `${address}:${port}`, port, asked, [Symbol.asyncDispose]: async () => void socket.close() };
}

function questionIn(query: Buffer) {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  return { name: labels.join("."), type: types[query.readUInt16BE(at + 1)] ?? "other", question: query.subarray(12, end) };
}

/** The records that fit the question: as a resolver answers, which has followed an alias. */
function answersOf({ addresses, alias }: Records, type: string): Buffer[] {
  const owner = alias === undefined ? sameName : nameBytes(alias);
  const fitting = addresses.flatMap((text) => {
    const address = ipaddr.parse(text);
    const kind = address.kind() === "ipv4" ? "A" : "AAAA";
    return kind === type ? [record(owner, kind === "A" ? 1 : 28, Buffer.from(address.toByteArray()))] : [];
  });
  return alias === undefined ? fitting : [record(sameName, 5, nameBytes(alias)), ...fitting];
}

/** that of the question */
const sameName = Buffer.of(0xc0, 12);
const nameBytes = (name: string) =>
  Buffer.concat([...name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label, "latin1")])), Buffer.of(0)]);

/** NAME TYPE CLASS TTL RDLENGTH RDATA; good for no time at all */
const record = (owner: Buffer, type: number, data: Buffer) =>
  Buffer.concat([owner, Buffer.from([0, type, 0, 1, 0, 0, 0, 0, 0, data.length]), data]);

/** A question for the A records of a name, as it goes over UDP. */
export const queryFor = (id: number, name: string): Buffer =>
  Buffer.concat([Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), nameBytes(name), Buffer.from([0, 1, 0, 1])]);
