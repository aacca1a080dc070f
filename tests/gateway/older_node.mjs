// The conformance suite imports `globSync` of Node 22 for a subcommand that is not used here.
// An older Node has no such export and would not load it; this gives it one, and changes nothing else.
import * as fs from "node:fs";
import { register } from "node:module";

const facade = `
import fs from "node:fs";
export * from "node:fs";
export default fs;
export const globSync = undefined;
`;
const hooks = `
const facade = "data:text/javascript," + encodeURIComponent(${JSON.stringify(facade)});
export async function resolve(name, context, next) {
  const isSuite = context.parentURL?.includes("/@modelcontextprotocol/conformance/");
  return name === "fs" && isSuite ? { url: facade, shortCircuit: true } : next(name, context);
}
`;

if (!("globSync" in fs)) {
  register("data:text/javascript," + encodeURIComponent(hooks));
}
