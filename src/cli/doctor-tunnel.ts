import type { BackendKind, HelperProbe } from "../node/types.ts";
import { exitChecks } from "./doctor-exit.ts";
import { mayOpenTunnels } from "./privileges.ts";
import { withHelper } from "./tunnels.ts";

type Found = { state: "ok" | "note" | "fail"; found: string; remedy?: string };
type Works = [name: string, work: () => Promise<Found>][];

const kinds: BackendKind[] = ["kernel", "wireguard-go", "wireguard-go-wg"];
const ok = (found: string): Found => ({ state: "ok", found });
const note = (found: string, remedy: string): Found => ({ state: "note", found, remedy });

/** What the service `wireguard` needs on this machine. None of it is needed for the proxy, so nothing of it fails, but a block that was left. */
export function tunnelChecks(): Works {
  let probe: Promise<HelperProbe> | undefined;
  const probed = () => {
    probe ??= withHelper((helper) => helper.probe());
    return probe;
  };
  return [
    ["tunnel", async () => chosen(await probed())],
    ...kinds.map((kind): Works[number] => [`  ${kind}`, async () => backend(await probed(), kind)]),
    ["  tools", async () => tools(await probed())],
    ...exitChecks(),
  ];
}

function chosen({ blocked, chosen: kind }: HelperProbe): Found {
  if (blocked)
    return { state: "fail", found: "a kill switch stands that was left", remedy: "lift it with 'mystnode disconnect', or connect again" };
  if (!mayOpenTunnels()) return note("needs root", "run this as root to see more; --service proxy needs no privileges");
  return kind === undefined ? note("nothing carries it", "see the lines below; --service proxy needs none of it") : ok(`by ${kind}`);
}

function backend({ backends }: HelperProbe, kind: BackendKind): Found {
  const { ok: works, version, reason = "not usable" } = backends.find((one) => one.kind === kind) ?? { ok: false };
  if (works) return ok(version ?? "works");
  return note("not usable", `${reason}`);
}

function tools({ problems }: HelperProbe): Found {
  return problems.length === 0 ? ok("nothing is missing") : note("something is missing", problems.join("; "));
}
