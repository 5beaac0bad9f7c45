/**
 * What decides is a pure function of state and event; what touches the world performs its effects.
 * An effect is plain data. The driver performs the effects of one event in order, each to its end, before it takes the
 * next event: so a `persist` that stands before a `send` is on disk before the other side can know of it.
 */
export type Step<State, Event, Effect> = (state: State, event: Event) => { state: State; effects: Effect[] };

export type Machine<State, Event> = {
  /** Queues an event; resolves when its effects have been performed, rejects with what one of them threw. */
  send(event: Event): Promise<void>;
  state(): State;
};

export type MachineOptions<State, Event, Effect> = {
  initial: State;
  step: Step<State, Event, Effect>;
  /** Performs one effect. It may call `send` but must not await it: that event waits for this one to end. */
  perform(effect: Effect, state: State): void | Promise<void>;
  onTransition?(from: State, event: Event, to: State): void;
};

/** Runs `step` over a serial queue of events. A thrown effect skips the rest of that event's effects only. */
export function runMachine<State, Event, Effect>(options: MachineOptions<State, Event, Effect>): Machine<State, Event> {
  let state = options.initial;
  let tail: Promise<void> = Promise.resolve();
  const handle = async (event: Event) => {
    const next = options.step(state, event);
    const from = state;
    state = next.state;
    options.onTransition?.(from, event, state);
    for (const effect of next.effects) await options.perform(effect, state);
  };
  return {
    state: () => state,
    send: (event) => {
      const done = tail.then(() => handle(event));
      tail = done.catch(() => undefined);
      return done;
    },
  };
}
