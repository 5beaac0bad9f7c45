import { isIPv6 } from "node:net";

/** Is it a unique local IPv6 address (RFC 4193), which is nobody's on the internet and no link's own? */
export const isUniqueLocal = (address: string): boolean => /^fd[0-9a-f]{2}:[0-9a-f:]+$/i.test(address) && isIPv6(address);
