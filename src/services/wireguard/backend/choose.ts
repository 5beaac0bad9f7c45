import type { BackendKind, BackendProbe, WgBackend } from "../types.ts";
import { kernelBackend } from "./kernel.ts";
import { wireguardGoBackend } from "./wireguard-go.ts";

/** Every backend that ships, the best first. */
export const allBackends = (): WgBackend[] => [kernelBackend(), wireguardGoBackend(), wireguardGoBackend("wg")];

export const probeBackends = (backends: WgBackend[] = allBackends()): Promise<({ kind: BackendKind } & BackendProbe)[]> =>
  Promise.all(backends.map(async (backend) => ({ kind: backend.kind, ...(await backend.probe()) })));
