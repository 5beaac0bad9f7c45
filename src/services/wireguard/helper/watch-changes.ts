import type { HostPort } from "./host-port.ts";

/** in case the kernel's word is lost: what others change is put right within a second */
const watchMs = 900;

/** Calls `look` as soon as the kernel tells of a change of the host's network, and now and then in any case. */
export function watchChanges(host: Pick<HostPort, "watch">, look: () => void): { end(): void } {
  const timer = setInterval(look, watchMs);
  const endChanges = host.watch(look);
  return {
    end: () => {
      clearInterval(timer);
      endChanges();
    },
  };
}
