import { createRequire } from "node:module";

/** Of the package, from its package.json: src/ and dist/ lie at the same depth. */
export const version: string = createRequire(import.meta.url)("../../package.json").version;
