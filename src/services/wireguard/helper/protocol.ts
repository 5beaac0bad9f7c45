import { isIP, isIPv4 } from "node:net";
import { z } from "zod";
import { speedMax, speedMin } from "../../../lib/units.ts";
import { parseRule } from "../../policy.ts";
import { isKey } from "../backend/keys.ts";
import { isNetwork } from "../exceptions.ts";
import { flowLimitMax } from "../plan/flows.ts";
import { isUniqueLocal } from "../unique-local.ts";

/**
 * What node and helper tell each other: a line of JSON each. A request has a number, and exactly one answer with that number. Each side
 * checks every line against these shapes; the helper runs as root, so nothing in them is text that a tool would read as it stands.
 */
export const lineMax = 64 * 1024;
/** so many clients' values go into one line at most */
export const batchMax = 256;

const key = z.string().refine(isKey, "no WireGuard key");
const port = z.int().min(0).max(65_535);
const bytes = z.string().regex(/^\d{1,20}$/);
const ms = z
  .number()
  .min(0)
  .max(2 ** 31);
const mtu = z.int().min(576).max(9000);
const address = z.string().refine((text) => isIP(text) !== 0 && !text.includes("%"), "no address");
const ipv4 = z.string().refine(isIPv4, "no IPv4 address");
const ula = z.string().refine(isUniqueLocal, "no unique local IPv6 address");
const ifname = z.string().regex(/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/);
const backend = z.enum(["kernel", "wireguard-go", "wireguard-go-wg"]);
const rule = z
  .string()
  .max(60)
  .refine((text) => {
    try {
      parseRule(text);
      return true;
    } catch {
      return false;
    }
  }, "no destination rule");
const endpoint = z.strictObject({ address, port: port.min(1), protocol: z.enum(["tcp", "udp"]) });
const control = z.array(endpoint.extend({ through: z.literal(true).optional() })).max(500);
const leg = z.enum(["first", "last"]);

const speed = z.int().min(speedMin).max(speedMax);

const exitConfig = z.strictObject({
  backend: backend.optional(),
  listenPort: port,
  mtu,
  egressIf: ifname.optional(),
  egressAddress: ipv4.optional(),
  allow: z.array(rule).max(500),
  block: z.array(rule).max(500),
  closedPorts: z.array(port.min(1)).max(32).optional(),
  speed: z.strictObject({ perClient: speed.optional(), whole: speed.optional() }).optional(),
  flowLimit: z.int().min(1).max(flowLimitMax).optional(),
  ipv6: z.boolean().optional(),
});
const clientConfig = z.strictObject({ backend: backend.optional(), uid: z.int().min(0).max(0xff_ff_ff_fe), control });
const inside = z.strictObject({ address: ipv4, dns: ipv4, mtu });
const upConfig = inside.extend({
  address6: ula.optional(),
  publicKey: key,
  presharedKey: key.optional(),
  endpoint,
  punch: z.boolean().optional(),
});
const place = z.strictObject({ address: ipv4, port: port.min(1) });
const greeting = z.strictObject({ publicKey: key, endpoint: place });

const network = z.string().refine(isNetwork, "no IPv4 network");
const shieldOptions = z.strictObject({
  killSwitch: z.boolean(),
  lan: z.boolean(),
  split: z.array(network).max(100),
  dns: ipv4.optional(),
});

const asked = <Op extends string, Shape extends z.ZodRawShape>(op: Op, shape: Shape) =>
  z.strictObject({ id: z.int().min(1), op: z.literal(op), ...shape });

export const requestSchema = z.discriminatedUnion("op", [
  asked("probe", {}),
  asked("cleanup", {}),
  asked("blockAll", { lan: z.boolean() }),
  asked("stop", {}),
  asked("openExit", { config: exitConfig }),
  asked("admit", { publicKey: key, presharedKey: key.optional() }),
  asked("dismiss", { publicKey: key }),
  asked("greetFromExit", { greeting }),
  asked("reach", { publicKey: key, place: place.optional() }),
  asked("closeExit", {}),
  asked("openClient", { config: clientConfig }),
  asked("secure", { options: shieldOptions }),
  asked("greet", { inside, greetings: z.array(greeting).min(1).max(4) }),
  asked("up", { leg, exit: upConfig }),
  asked("control", { endpoints: control }),
  asked("mtu", { leg, mtu }),
  asked("block", { leg, reason: z.string().max(300) }),
  asked("release", {}),
  // these two have no answer
  z.strictObject({ op: z.literal("credit"), credits: z.array(z.tuple([key, bytes, ms])).max(batchMax) }),
  z.strictObject({ op: z.literal("beat") }),
]);
export type Request = z.output<typeof requestSchema>;
export type Asked = Exclude<Request, { op: "credit" | "beat" }>;

const kind = z.enum(["kernel", "wireguard-go", "wireguard-go-wg", "fake"]);
export const results = {
  probe: z.strictObject({
    backends: z.array(z.strictObject({ kind, ok: z.boolean(), reason: z.string().optional(), version: z.string().optional() })),
    chosen: kind.optional(),
    problems: z.array(z.string()),
    blocked: z.boolean(),
  }),
  cleanup: z.strictObject({ removed: z.array(z.string()), failed: z.array(z.string()) }),
  openExit: z.strictObject({ publicKey: key, listenPort: port, backend: kind, ifname, egressIf: ifname, gateway: ipv4, mtu }),
  admit: z.strictObject({ address: ipv4, address6: ula.optional() }),
  dismiss: z.strictObject({ rx: bytes, tx: bytes, handshakeMs: z.number() }),
  openClient: z.strictObject({ publicKey: key, backend: kind, ifname, first: z.strictObject({ publicKey: key, ifname }) }),
  greet: z.strictObject({ listenPort: port }),
  done: z.strictObject({}),
};

const state = z.strictObject({
  intent: z.enum(["secured", "unguarded", "open"]),
  fact: z.enum(["down", "securing", "handshaking", "up", "blocked"]),
  problem: z.string().optional(),
  first: z.literal("up").optional(),
});
const count = z.tuple([key, bytes, bytes, z.number()]);

export const noteSchema = z.union([
  z.strictObject({ id: z.int().min(1), result: z.unknown() }),
  z.strictObject({
    id: z.int().min(1),
    error: z.strictObject({ code: z.string(), message: z.string(), hint: z.string().optional() }),
  }),
  z.strictObject({ event: z.literal("beat") }),
  z.strictObject({ event: z.literal("log"), level: z.enum(["info", "warn"]), message: z.string() }),
  /** key, bytes from it, bytes to it, last handshake */
  z.strictObject({ event: z.literal("exitCounters"), counts: z.array(count).max(batchMax) }),
  z.strictObject({ event: z.literal("clientCounters"), leg, rx: bytes, tx: bytes, dropped: bytes, handshakeMs: z.number() }),
  z.strictObject({ event: z.literal("clientState"), state }),
  /** the last one: why it ends by itself */
  z.strictObject({ event: z.literal("ending"), reason: z.string() }),
]);
export type Note = z.output<typeof noteSchema>;
