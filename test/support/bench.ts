import { measure } from "./measure.ts";

await measure("perf");
