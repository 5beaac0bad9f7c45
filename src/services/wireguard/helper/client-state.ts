import type { TunnelState } from "../types.ts";

export type ClientEvent =
  | { type: "securing"; killSwitch: boolean }
  | { type: "handshaking" }
  | { type: "up" }
  /** nothing passes any more, the tunnel included */
  | { type: "blocked"; problem: string }
  /** the kill switch itself could not be kept up */
  | { type: "unprotected"; problem: string }
  | { type: "protected" }
  | { type: "released" };

export const initialState: TunnelState = { intent: "open", fact: "down" };

/** What a client is, after what has happened to it. An event that does not fit what was asked for changes nothing. */
export function nextState(state: TunnelState, event: ClientEvent): TunnelState {
  if (event.type === "released") return initialState;
  if (event.type === "securing") {
    const intent = event.killSwitch ? "secured" : "unguarded";
    return state.intent === "open" ? { intent, fact: "securing" } : { ...state, intent };
  }
  const { intent } = state;
  if (intent === "open") return state;
  switch (event.type) {
    case "handshaking":
      return { intent, fact: "handshaking" };
    case "up":
      return state.fact === "handshaking" ? { intent, fact: "up" } : state;
    case "blocked":
      return { intent, fact: intent === "secured" ? "blocked" : "down", problem: event.problem };
    case "unprotected":
      return { ...state, problem: `the kill switch does not stand: ${event.problem}` };
    case "protected":
      return state.problem?.startsWith("the kill switch does not stand") ? { intent: state.intent, fact: state.fact } : state;
  }
}
