/** What a part of the product needs from its surroundings, so that embedders can bring their own. */
export type LogFields = Record<string, string | number | boolean | bigint | undefined>;

/** Levelled, structured logging. Fields never hold a secret nor raw data of a peer. */
export type Logger = {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** the same log, with the part's name on every line */
  child(part: string): Logger;
};

const nothing = () => undefined;
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};
