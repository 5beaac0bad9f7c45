import ipaddr from "ipaddr.js";

/** [range, record] */
export type Entry = [cidr: string, record: Value];
type Value = string | number | { [name: string]: Value };

const sizeOf = (type: number, length: number): Buffer => {
  if (length >= 285) throw new Error("too long for these tests");
  const extended = type > 7;
  const control = ((extended ? 0 : type) << 5) | (length < 29 ? length : 29);
  return Buffer.from([control, ...(extended ? [type - 7] : []), ...(length < 29 ? [] : [length - 29])]);
};

function encode(value: Value): Buffer {
  if (typeof value === "string") return Buffer.concat([sizeOf(2, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([sizeOf(6, 4), bytes]);
  }
  const members = Object.entries(value);
  return Buffer.concat([sizeOf(7, members.length), ...members.flatMap(([name, member]) => [encode(name), encode(member)])]);
}

type Node = [Node | number | undefined, Node | number | undefined];

/** A database in MaxMind's format 2.0, of 24-bit records: only as much of it as tests need. `ipVersion` 6 holds IPv4 as ::/96. */
export function mmdb(entries: Entry[], { ipVersion = 4, type = "Test-Country" } = {}): Buffer {
  const root: Node = [undefined, undefined];
  const data: Buffer[] = [];
  let dataLength = 0;
  for (const [cidr, record] of entries) {
    const [address, prefix] = ipaddr.parseCIDR(cidr);
    const own = [...address.toByteArray()];
    const bytes = ipVersion === 6 && own.length === 4 ? [...new Array<number>(12).fill(0), ...own] : own;
    const length = prefix + (bytes.length - own.length) * 8;
    let node = root;
    for (let bit = 0; bit < length; bit += 1) {
      const side = ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;
      if (bit === length - 1) node[side] = dataLength;
      else {
        const next = node[side];
        const below: Node = typeof next === "object" ? next : [undefined, undefined];
        node[side] = below;
        node = below;
      }
    }
    const bytesOfRecord = encode(record);
    data.push(bytesOfRecord);
    dataLength += bytesOfRecord.length;
  }
  const nodes: Node[] = [root];
  for (const node of nodes) for (const side of node) if (typeof side === "object") nodes.push(side);
  const numbers = new Map(nodes.map((node, index) => [node, index]));
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [index, node] of nodes.entries())
    for (const [side, to] of node.entries()) {
      const value = to === undefined ? nodes.length : typeof to === "number" ? nodes.length + 16 + to : (numbers.get(to) ?? 0);
      tree.writeUIntBE(value, index * 6 + side * 3, 3);
    }
  const metadata = encode({
    ...{ node_count: nodes.length, record_size: 24, ip_version: ipVersion, database_type: type },
    ...{ binary_format_major_version: 2, binary_format_minor_version: 0, build_epoch: 1_700_000_000 },
  });
  return Buffer.concat([tree, Buffer.alloc(16), ...data, Buffer.from("\xab\xcd\xefMaxMind.com", "latin1"), metadata]);
}
