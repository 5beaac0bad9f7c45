// Preloaded by lazy.test.ts: at its end the process writes down which modules it has loaded.
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const urls = [];
registerHooks({
  load: (url, context, next) => {
    urls.push(url);
    return next(url, context);
  },
});
process.on("exit", () => writeFileSync(process.env.RECORD_MODULES, urls.join("\n")));
