/** What the devnet's resolver knows. A name that stands for the asker's own address tells who asks. */
export type Zone = { [name: string]: { a?: string; aaaa?: string } | "caller" };

const maxQuery = 512;
const types = { a: 1, aaaa: 28 } as const;

/**
 * The answer to one DNS question (RFC 1035) over UDP; undefined for what is none, which gets no answer.
 * A name that is not in the zone does not exist (NXDOMAIN). @param caller IPv4 address of the asker
 */
export function answerQuery(query: Uint8Array, zone: Zone, caller: string): Buffer | undefined {
  const question = readQuestion(Buffer.from(query));
  if (!question) return undefined;
  const { id, flags, name, type, end } = question;
  const entry = Object.hasOwn(zone, name) ? zone[name] : undefined;
  const known = entry === "caller" ? { a: caller } : entry;
  const data = dataOf(known, type);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  // an answer, authoritative, recursion as it was asked for; 3 is NXDOMAIN
  head.writeUInt16BE(0x8480 | (flags & 0x0100) | (known ? 0 : 3), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data ? 1 : 0, 6);
  if (!data) return Buffer.concat([head, query.subarray(12, end)]);
  const record = Buffer.alloc(12);
  // the question's name, by reference; class IN; never cached
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(type, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(0, 6);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, query.subarray(12, end), record, data]);
}

function dataOf(entry: { a?: string; aaaa?: string } | undefined, type: number): Buffer | undefined {
  if (type === types.a && entry?.a !== undefined) return ipv4(entry.a);
  return type === types.aaaa && entry?.aaaa !== undefined ? ipv6(entry.aaaa) : undefined;
}

/** `end`: where the question ends */
function readQuestion(query: Buffer): { id: number; flags: number; name: string; type: number; end: number } | undefined {
  if (query.length < 17 || query.length > maxQuery) return undefined;
  const flags = query.readUInt16BE(2);
  // one standard question, and no answer
  if ((flags & 0xf800) !== 0 || query.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    // longer is a reference, which a question has no use for
    if (length > 63 || at + 1 + length >= query.length) return undefined;
    labels.push(query.toString("latin1", at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  if (at + 5 > query.length) return undefined;
  return { id: query.readUInt16BE(0), flags, name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

const ipv4 = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

/** of an address with at most one `::` and no IPv4 part */
function ipv6(address: string): Buffer {
  const [front = [], back = []] = address.split("::").map((half) => half.split(":").filter(Boolean));
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
