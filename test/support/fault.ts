import { measure } from "./measure.ts";

await measure("fault");
