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

export const flowDefinitions = (limit: number | undefined): string[] =>
  limit === undefined
    ? []
    : [
        `  set new_flows { type ipv4_addr; size ${clientsMax}; flags dynamic,timeout; timeout 1m; }`,
        `  set flows { type ipv4_addr; size ${clientsMax}; flags dynamic; }`,
        "  chain open_flow {",
        `    update @new_flows { ip saddr limit rate over ${limit}/second burst ${limit * burstSeconds} packets } drop`,
        `    add @flows { ip saddr ct count over ${limit * heldSeconds} } drop`,
        "  }",
      ];

/** The rule that counts what a client opens. */
export const opening = "ct state new ct status & confirmed == 0 jump open_flow";
