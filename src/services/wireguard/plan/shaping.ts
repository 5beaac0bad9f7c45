import { speedMax, speedMin } from "../../../lib/units.ts";
import { checkIfname, checkNumber } from "./check.ts";
import type { IpStep } from "./host-plan.ts";
import { type Pool, poolAddresses } from "./pool.ts";
import { address6Of, pool6Of } from "./pool6.ts";

/** Bits a second in each direction, of inner packets; absent: any speed. */
export type SpeedLimits = {
  /** each client */
  perClient?: number;
  /** all clients together */
  whole?: number;
};

/** What `tc` is to make of devices that there are then: `lines` for `tc -batch`, once nothing of ours is left on `devices`. */
export type Shaping = {
  /** what is shaped by the queue that packets leave the device from */
  devices: string[];
  /** whose incoming packets are led to the last of `devices`, since only what leaves can be queued */
  from: string;
  lines: string[];
};

/** The device through whose queue passes what comes from clients. */
export const uplinkName = (tun: string): string => checkIfname(`${checkIfname(tun).slice(0, 14)}u`);

export const uplinkSteps = (tun: string): IpStep[] => [
  { family: 4, add: `link add dev ${uplinkName(tun)} type ifb`, del: `link del dev ${uplinkName(tun)}` },
  { family: 4, add: `link set dev ${uplinkName(tun)} up`, del: `link set dev ${uplinkName(tun)} down` },
];

/** What waits in one client's queue at most: a tenth of a second, within what helper/credit.ts takes into account and what TCP needs. */
const queueBytes = (rate: number): number => Math.min(1024 * 1024, Math.max(32 * 1024, Math.round(rate / 80)));

/**
 * HTB with a class for each client's address, made once with the exit, so that no session needs a call. Of a limit for all together each client
 * that wants it gets an equal share, and what the others leave. `prefix6`: of the clients' IPv6 addresses, where they have some; both families of one share its class.
 * @throws BAD_VALUE for a limit out of range
 */
export function shapingOf(tun: string, pool: Pool, { perClient, whole }: SpeedLimits, prefix6?: string): Shaping {
  const limits = [perClient, whole].filter((rate) => rate !== undefined).map((rate) => checkNumber("speed", rate, speedMin, speedMax));
  const most = Math.min(...limits);
  const uplink = uplinkName(tun);
  const addresses = poolAddresses(pool);
  /** what a client has for sure; what is borrowed beyond it is what keeps all together within theirs */
  const sure = whole === undefined ? most : Math.min(most, Math.max(1_000, Math.floor(whole / (addresses.length + 1))));
  const lines = (device: string, field: "src" | "dst", offset: number) => [
    `qdisc add dev ${device} root handle 1: htb default 0`,
    ...(whole === undefined
      ? []
      : [`class add dev ${device} parent 1: classid 1:1 htb rate ${whole}bit ceil ${whole}bit quantum ${quantum}`]),
    // found by the address's last byte, in one step however many there are
    `filter add dev ${device} parent 1: prio 1 handle 2: protocol ip u32 divisor 256`,
    `filter add dev ${device} parent 1: prio 1 protocol ip u32 ht 800:: match ip ${field} ${pool.cidr} hashkey mask 0x000000ff at ${offset} link 2:`,
    ...(prefix6 === undefined ? [] : begin6(device, field, pool6Of(prefix6, pool).cidr)),
    ...addresses.flatMap((address, index) => {
      const id = `1:${(index + 2).toString(16)}`;
      const bucket = Number(address.split(".")[3]).toString(16);
      return [
        `class add dev ${device} parent 1:${whole === undefined ? "" : "1"} classid ${id} htb rate ${sure}bit ceil ${most}bit quantum ${quantum}`,
        `qdisc add dev ${device} parent ${id} bfifo limit ${queueBytes(most)}`,
        `filter add dev ${device} parent 1: prio 1 protocol ip u32 ht 2:${bucket}: match ip ${field} ${address}/32 flowid ${id}`,
        ...(prefix6 === undefined
          ? []
          : [
              `filter add dev ${device} parent 1: prio 2 protocol ipv6 u32 ht 3:${bucket}: match ip6 ${field} ${address6Of(prefix6, address)}/128 flowid ${id}`,
            ]),
      ];
    }),
  ];
  return {
    devices: [tun, uplink],
    from: tun,
    lines: [
      ...lines(tun, "dst", 16),
      ...lines(uplink, "src", 12),
      `qdisc add dev ${tun} ingress`,
      `filter add dev ${tun} parent ffff: protocol ip prio 1 u32 match u32 0 0 action mirred egress redirect dev ${uplink}`,
      ...(prefix6 === undefined
        ? []
        : [`filter add dev ${tun} parent ffff: protocol ipv6 prio 2 u32 match u32 0 0 action mirred egress redirect dev ${uplink}`]),
    ],
  };
}

/** The last byte of an IPv6 address stands 36 bytes behind where the header begins, or 20. */
const begin6 = (device: string, field: "src" | "dst", cidr: string): string[] => [
  `filter add dev ${device} parent 1: prio 2 handle 3: protocol ipv6 u32 divisor 256`,
  `filter add dev ${device} parent 1: prio 2 protocol ipv6 u32 match ip6 ${field} ${cidr} hashkey mask 0x000000ff at ${field === "dst" ? 36 : 20} link 3:`,
];

/** What one client may send before it is another's turn: two full packets. */
const quantum = 3_000;
