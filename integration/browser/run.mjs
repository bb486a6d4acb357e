// run.mjs URL [scenario…]: the scenarios in order, in one browser; a line of JSON for each.
import { Browser } from "./harness.mjs";
import { look } from "./look.mjs";
import * as others from "./scenarios.mjs";

const order = [
  "newcomer", "keyShownOnce", "snippets", "live", "look", "keyboard", "serverAway", "auditWithoutReads", "pastedKey", "deleteCloses", "rotatedAndDisabled",
  "deviceDeleted", "foreignSite", "policyHolds", "otherAccount", "logsOutAndIn", "invitation",
  "passwordChanged", "accountDeleted", "manyTiles", "watchStops", "lightAndAlone", "noReplyHoldsTheKey", "nothingComplained",
];
const scenarios = { ...others, look };
const needed = ["newcomer", "snippets", "live"];

const [base, ...only] = process.argv.slice(2);
const browser = new Browser(base);
const world = {};
await browser.start();
try {
  for (const name of order) {
    if (only.length && !only.includes(name)) continue;
    const began = Date.now();
    let error = null;
    let notes;
    try {
      notes = await scenarios[name](browser, world);
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
