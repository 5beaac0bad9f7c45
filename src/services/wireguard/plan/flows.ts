/**
 * How many connections a client may open: so many each second, ten seconds' worth at once, and forty seconds' worth at a time. An exit
 * that scans or floods for one of its clients is blamed for it, and what the firewall remembers of connections is shared by all. One that nobody
 * has answered is told from a new one by its being remembered already: a client may send to who does not answer.
 */
export const flowLimitMax = 100_000;
const burstSeconds = 10;
const heldSeconds = 40;
/** as many as a pool has */
const clientsMax = 4096;

/** The last four bytes of a client's address, which are the same in both families (plan/pool6.ts): what it opens in both is one count. */
const families = [
  { only: "meta nfproto ipv4 ", of: "@nh,96,32" },
  { only: "meta nfproto ipv6 ", of: "@nh,160,32" },
];

export function flowDefinitions(limit: number | undefined, ipv6 = false): string[] {
  const key = ipv6 ? "typeof @nh,96,32" : "type ipv4_addr";
  return limit === undefined
    ? []
    : [
        `  set new_flows { ${key}; size ${clientsMax}; flags dynamic,timeout; timeout 1m; }`,
        `  set flows { ${key}; size ${clientsMax}; flags dynamic; }`,
        "  chain open_flow {",
        ...(ipv6 ? families : [{ only: "", of: "ip saddr" }]).flatMap(({ only, of }) => [
          `    ${only}update @new_flows { ${of} limit rate over ${limit}/second burst ${limit * burstSeconds} packets } drop`,
          `    ${only}add @flows { ${of} ct count over ${limit * heldSeconds} } drop`,
        ]),
        "  }",
      ];
}

/** The rule that counts what a client opens. */
export const opening = "ct state new ct status & confirmed == 0 jump open_flow";
