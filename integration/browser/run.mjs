// run.mjs URL [scenario…]: the scenarios in order, in one browser; a line of JSON for each.
import { Browser } from "./harness.mjs";
import { look } from "./look.mjs";
import * as scenarios from "./scenarios.mjs";

const { newcomer, keyShownOnce, snippets, live, pastedKey, deleteCloses, noReplyHoldsTheKey } = scenarios;
const { foreignSite, policyHolds, otherAccount, logsOutAndIn, invitation, manyTiles, watchStops, nothingComplained } = scenarios;
const order = { newcomer, keyShownOnce, snippets, live, look, pastedKey, deleteCloses, foreignSite, policyHolds, otherAccount, logsOutAndIn, invitation, manyTiles, watchStops, noReplyHoldsTheKey, nothingComplained };

const needed = ["newcomer", "snippets", "live"];

const [base, ...only] = process.argv.slice(2);
const browser = new Browser(base);
const world = {};
await browser.start();
try {
  for (const [name, scenario] of Object.entries(order)) {
    if (only.length && !only.includes(name)) continue;
    const began = Date.now();
    let error = null;
    let notes;
    try {
      notes = await scenario(browser, world);
    } catch (cause) {
      error = String(cause.stack || cause);
    }
    console.log(JSON.stringify({ name, error, notes, seconds: (Date.now() - began) / 1000 }));
    if (error && needed.includes(name)) break; // the others build on it
  }
} finally {
  world.programs?.stop();
  await browser.stop();
}
