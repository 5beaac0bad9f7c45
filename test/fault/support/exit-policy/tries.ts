import ipaddr from "ipaddr.js";
import type { Records } from "../../../support/name-server.ts";
import { mailPorts, ownHost, ownPorts, publicHosts } from "./traps.ts";

/** Where somebody tries to get through an exit, and must not. */
export type Try = { kind: Kind; host: string; port: number };
export const kinds = ["private", "metadata", "the exit", "mail", "spelling", "name", "rebinding"] as const;
export type Kind = (typeof kinds)[number];

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;
const byte = () => Math.floor(Math.random() * 256);
const hex = () => Math.floor(Math.random() * 0x10000).toString(16);

const privateV4 = [
  () => `10.${byte()}.${byte()}.${byte()}`,
  () => `172.${16 + (byte() & 15)}.${byte()}.${byte()}`,
  () => `192.168.${byte()}.${byte()}`,
  () => `100.${64 + (byte() & 63)}.${byte()}.${byte()}`,
  () => `169.254.${byte()}.${byte()}`,
  () => `127.${byte()}.${byte()}.${1 + (byte() & 127)}`,
  () => `0.${byte()}.${byte()}.${byte()}`,
  () => `198.18.${byte()}.${byte()}`,
  () => `192.0.2.${byte()}`,
];
const privateV6 = [
  () => `fd${hex().padStart(4, "0").slice(2)}:${hex()}::${hex()}`,
  () => `fec0::${hex()}`,
  () => `2001:db8::${hex()}`,
  () => "::1",
];
const metadata = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"];

/** other clothes of an IPv4 address, as addresses */
const dresses = (v4: string): string[] => {
  const [a = 0, b = 0, c = 0, d = 0] = ipaddr.parse(v4).toByteArray();
  const [high, low] = [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)];
  return [`::ffff:${v4}`, `::ffff:${high}:${low}`, `64:ff9b::${high}:${low}`, `2002:${high}:${low}::1`, `::${v4}`, `64:ff9b:1::${v4}`];
};
/** other ways to write one, as names: what they mean a name server may be asked */
export const spellings = (v4: string): string[] => {
  const bytes = ipaddr.parse(v4).toByteArray();
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const number = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  return [
    `${number}`,
    `0x${number.toString(16)}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    bytes.map((one) => `0${one.toString(8)}`).join("."),
    bytes.map((one) => `0x${one.toString(16)}`).join("."),
    `${v4}.`,
  ];
};

const webPort = () => pick([80, 443, 8080]);
let names = 0;

/** One more of a kind. `udp`: on a port where datagrams are caught. */
export function newTry(kind: Kind, udp: boolean): Try {
  const inside = () => pick(Math.random() < 0.7 ? privateV4 : privateV6)();
  const port = udp ? pick([53, 123, 1900, 4450]) : webPort();
  names += 1;
  switch (kind) {
    case "private":
      return { kind, host: inside(), port };
    case "metadata":
      return { kind, host: pick(metadata), port: udp ? port : 80 };
    case "the exit":
      return { kind, host: pick(["127.0.0.1", "::1", ownHost, `::ffff:${ownHost}`, "0.0.0.0", "::"]), port: udp ? port : pick(ownPorts) };
    case "mail":
      return { kind, host: pick(Object.values(publicHosts)), port: pick(mailPorts) };
    case "spelling":
      return { kind, host: pick([...dresses(pick(privateV4)()), ...spellings(pick(["127.0.0.1", "169.254.169.254", "10.0.0.1"]))]), port };
    case "name":
      return {
        kind,
        host: pick(["localhost", "LocalHost.", "a.localhost", `in-${names}.test`, `alias-${names}.test`, `dressed-${names}.test.`]),
        port,
      };
    case "rebinding":
      return { kind, host: pick([`rebind-${names}.test`, `mixed-${names}.test`]), port };
  }
}

/**
 * The attacker's name server. `rebind-N` is public when it is asked first and inside from then on, `mixed-N` both at once, `alias-N` stands
 * for another's name, `dressed-N` has addresses of IPv6 that are none; what looks like a number is that number.
 */
export function attackersRecords(): (name: string, type: string) => Records | undefined {
  const asked = new Map<string, number>();
  return (text, type) => {
    const name = text.toLowerCase().replace(/\.$/, "");
    const times = (asked.get(`${type} ${name}`) ?? 0) + 1;
    asked.set(`${type} ${name}`, times);
    const [word] = name.split("-");
    if (word === "rebind") return { addresses: times === 1 ? [publicHosts.v4] : ["10.0.0.1"] };
    if (word === "mixed") return { addresses: ["10.0.0.1", publicHosts.v4, "127.0.0.1", "::1", publicHosts.v6, "169.254.169.254"] };
    if (word === "in") return { addresses: ["192.168.1.1", "fd00::1"] };
    if (word === "alias") return { alias: "inner.test", addresses: ["192.168.1.1", "fd00::1"] };
    if (word === "dressed") return { addresses: ["::ffff:10.0.0.1", "64:ff9b::a00:1", "::1"] };
    const spelled = ["127.0.0.1", "169.254.169.254", "10.0.0.1"].find((v4) =>
      spellings(v4).some((other) => other.replace(/\.$/, "") === name),
    );
    return spelled === undefined ? undefined : { addresses: [spelled] };
  };
}
