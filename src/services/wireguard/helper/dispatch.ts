import { asMystError, MystError } from "../../../lib/errors.ts";
import { type Asked, type Note, type Request, requestSchema } from "./protocol.ts";

export type Handlers = {
  ask(request: Asked): Promise<unknown>;
  credit(request: Extract<Request, { op: "credit" }>): void;
  beat(): void;
};

/** One line of the node, to its end: nothing is done for a line that is not exactly a request. */
export async function dispatch(line: string, handlers: Handlers, answer: (note: Note) => void): Promise<void> {
  const request = readRequest(line);
  if ("error" in request) {
    if (request.id !== undefined) answer({ id: request.id, error: textOf(request.error) });
    else answer({ event: "log", level: "warn", message: request.error.message });
    return;
  }
  if (request.op === "beat") return handlers.beat();
  if (request.op === "credit") return handlers.credit(request);
  try {
    answer({ id: request.id, result: (await handlers.ask(request)) ?? {} });
  } catch (error) {
    answer({ id: request.id, error: textOf(asMystError(error)) });
  }
}

function readRequest(line: string): Request | { error: MystError; id?: number } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { error: new MystError("MALFORMED", "the helper was sent what is no JSON") };
  }
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { id } = (value ?? {}) as { id?: unknown };
  const where = parsed.error.issues[0]?.path.join(".") ?? "";
  const error = new MystError("MALFORMED", `the helper was sent what is no request${where && `: ${where}`}`.slice(0, 200));
  return { error, ...(typeof id === "number" && Number.isSafeInteger(id) && id > 0 && { id }) };
}

const textOf = ({ code, message, hint }: MystError) => ({ code, message, ...(hint !== undefined && { hint }) });
