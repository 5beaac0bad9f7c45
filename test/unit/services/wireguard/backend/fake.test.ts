import { type BackendLine, backendSuite, lineMtu } from "../../../../support/backend-suite.ts";
import { createFakeBackend } from "../../../../support/fake-backend.ts";

backendSuite(fakeLine(), false);

/** Two devices in memory, and an answer for whatever comes through. */
function fakeLine(): BackendLine {
  const backend = createFakeBackend();
  const [near, far] = ["10.9.0.1", "10.9.0.2"];
  /** IP and UDP headers */
  const headers = 28;
  let answers = 0;
  return {
    kind: "fake",
    near,
    far,
    open: (end, config) => backend.open({ ifname: `${end}0`, mtu: lineMtu, ...config }),
    listen: async () => undefined,
    ask: (payload) => {
      const bytes = payload + headers;
      if (!backend.carry("near0", { from: near, to: far, bytes })) return;
      if (backend.carry("far0", { from: far, to: near, bytes })) answers += 1;
    },
    answers: () => answers,
    mtu: () => backend.device("near0")?.mtu ?? 0,
    kill: () => backend.kill("near0"),
    isThere: () => backend.device("near0") !== undefined,
    close: async () => undefined,
  };
}
