"use strict";
// node key_places.js ADDRESS KEY: what each place of a key leads to, as one JSON document.
const WebSocket = require("ws");

const [, , address, key] = process.argv;
const other = "raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE";

function outcome(path, query, protocols, headers) {
  return new Promise((resolve) => {
    const url = address.replace("?", `${path}?`) + query;
    const socket = new WebSocket(url, protocols, { headers });
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      const what = message.session_id ? "session" : message.status;
      resolve(`${what}, ${socket.protocol ? "protocol " + socket.protocol : "no protocol"}`);
      socket.close(1000);
    });
    socket.on("close", (code) => resolve(String(code)));
    socket.on("error", (error) => resolve(error.message));
  });
}

async function main() {
  const places = {
    query: [`&api_key=${key}`, [], {}],
    header: ["", [], { Authorization: `Bearer ${key}` }],
    subprotocol: ["", ["bearer", key], {}],
    none: ["", [], {}],
    two: [`&api_key=${other}`, ["bearer", key], {}],
  };
  const outcomes = {};
  for (const path of ["/stream/ingest", "/stream/subscribe"]) {
    for (const [place, [query, protocols, headers]] of Object.entries(places)) {
      outcomes[`${path} ${place}`] = await outcome(path, query, protocols, headers);
    }
  }
  console.log(JSON.stringify(outcomes));
}

main();
